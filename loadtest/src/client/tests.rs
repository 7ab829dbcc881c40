//! The client against a server that says what the test wants, frame by frame.

use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

type ServerSocket = WebSocketStream<TcpStream>;

/// A server for one connection that does what `script` says.
async fn serve<F>(
    script: impl FnOnce(ServerSocket) -> F + Send + 'static,
) -> (String, tokio::task::JoinSet<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/connection/websocket", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    (url, tasks)
}

async fn hear(socket: &mut ServerSocket) -> Value {
    let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn say(socket: &mut ServerSocket, lines: &[Value]) {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    socket.send(Message::text(lines.join("\n"))).await.unwrap();
}

fn publication(topic: &str, offset: u64) -> Value {
    json!({ "push": { "channel": topic, "pub": { "data": { "n": offset }, "offset": offset } } })
}

#[tokio::test]
async fn publications_between_answers_are_kept_in_order_and_pings_are_answered() {
    let (url, mut server) = serve(|mut socket| async move {
        let connect = hear(&mut socket).await;
        assert_eq!(connect["connect"]["token"], "secret");
        let sub = json!({ "recoverable": true, "epoch": "e", "offset": 7 });
        say(&mut socket, &[json!({ "id": 1, "connect": { "client": "c", "subs": { "user:1": sub } } })]).await;
        let subscribe = hear(&mut socket).await;
        let wanted = json!({ "channel": "festival", "recover": true, "epoch": "x", "offset": 3 });
        assert_eq!(subscribe["subscribe"], wanted);
        let missed = json!([{ "data": { "n": 4 }, "offset": 4 }, { "data": { "n": 9 }, "offset": 9 }]);
        say(
            &mut socket,
            &[
                publication("user:1", 8),
                json!({}),
                json!({ "id": 2, "subscribe": { "epoch": "x", "offset": 3, "recovered": true, "publications": missed } }),
                publication("festival", 10),
            ],
        )
        .await;
        assert_eq!(hear(&mut socket).await, json!({})); // the pong
        assert_eq!(hear(&mut socket).await["rpc"]["method"], "ack");
        say(&mut socket, &[json!({ "id": 3, "error": { "code": 107, "message": "bad request" } })]).await;
        say(&mut socket, &[publication("festival", 12)]).await;
        let end = CloseFrame { code: 3001.into(), reason: "shutdown".into() };
        socket.close(Some(end)).await.unwrap();
    })
    .await;
    let mut client = Client::connect(&url, Some("secret"), 0).await.unwrap();
    assert_eq!(client.server_side["user:1"].offset, 7);
    let since = Position { epoch: "x".to_owned(), offset: 3 };
    let subscribed = client.subscribe("festival", Some(&since)).await.unwrap();
    assert!(subscribed.recovered);
    assert_eq!(subscribed.position.offset, 9);
    let missed: Vec<u64> = subscribed.publications.iter().map(|one| one.offset).collect();
    assert_eq!(missed, [4, 9]);
    client.acknowledge("d", "c").await.unwrap();
    for offset in [8, 10, 12] {
        assert_eq!(client.next().await.unwrap().offset, offset);
    }
    assert_eq!(client.refusals, 1);
    let end = client.next().await.unwrap_err();
    assert!(matches!(end, ClientError::Closed { code: 3001, .. }), "{end}");
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_carries_the_code_of_the_server() {
    let (url, mut server) = serve(|mut socket| async move {
        hear(&mut socket).await;
        say(&mut socket, &[json!({ "id": 1, "error": { "code": 109, "message": "token expired" } })]).await;
    })
    .await;
    let refused = Client::connect(&url, Some("old"), 0).await.unwrap_err();
    assert_eq!(refused.to_string(), "the server refused connect: 109 token expired");
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn what_no_client_understands_is_an_error_and_so_is_an_empty_line() {
    for frame in ["nonsense", "{}\n\n{}"] {
        let (url, mut server) = serve(move |mut socket| async move {
            hear(&mut socket).await;
            socket.send(Message::text(frame)).await.unwrap();
        })
        .await;
        let error = Client::connect(&url, None, 0).await.unwrap_err();
        assert!(matches!(error, ClientError::Garbage(_)), "{error}");
        server.join_next().await.unwrap().unwrap();
    }
}
