use proptest::prelude::*;
use protocol::ws;

use super::*;

fn frame(byte: u8, length: usize) -> Bytes {
    ws::frame(ws::Opcode::Binary, &vec![byte; length]).into()
}

fn chunk(bytes: impl Into<Bytes>, publications: u32) -> Chunk {
    Chunk { bytes: bytes.into(), publications }
}

impl Outgoing {
    /// What waits, in the order in which it will leave.
    fn waiting(&self) -> Vec<u8> {
        let Some(queue) = &self.0 else { return Vec::new() };
        let rest = queue.rest.iter().flat_map(|waiting| waiting.chunk.bytes.iter());
        queue.first[queue.written..].iter().chain(rest).copied().collect()
    }

    /// As if a socket had taken so many bytes.
    fn advance(&mut self, count: usize) {
        if let Some(queue) = &mut self.0 {
            queue.advance(count);
        }
        self.release();
    }
}

#[test]
fn what_is_written_in_part_goes_on_where_it_stopped() {
    let mut outgoing = Outgoing::default();
    let frames = [frame(1, 10), frame(2, 200), frame(3, 5)];
    for frame in &frames {
        outgoing.push_for(1, &chunk(frame.clone(), 1), Dirty::Waits);
    }
    assert_eq!(outgoing.take_fresh(), 3);
    let all: Vec<u8> = frames.concat();
    let mut seen = Vec::new();
    for count in [1, 11, 30, 1, 170].into_iter().chain(std::iter::once(all.len() - 213)) {
        let now = outgoing.waiting();
        assert_eq!(now.len(), outgoing.publication_bytes());
        seen.extend_from_slice(&now[..count]);
        outgoing.advance(count);
    }
    assert_eq!(seen, all);
    assert!(outgoing.is_empty());
}

#[test]
fn a_cut_leaves_the_end_of_the_frame_that_is_under_way() {
    let mut outgoing = Outgoing::default();
    let three = [frame(1, 10), frame(2, 10), frame(3, 10)].concat();
    outgoing.push_for(1, &chunk(three, 3), Dirty::Waits);
    outgoing.push_for(1, &chunk(frame(4, 10), 1), Dirty::Waits);
    outgoing.advance(15);
    outgoing.cut(Wire::JsonSocket);
    assert_eq!(outgoing.waiting(), &frame(2, 10)[3..]);
    assert_eq!(outgoing.publication_bytes(), 9);
    outgoing.advance(9);
    assert!(outgoing.is_empty());
    outgoing.push(frame(5, 1));
    outgoing.cut(Wire::JsonSocket);
    assert!(outgoing.is_empty(), "nothing of it was written");
}

#[test]
fn what_is_dropped_is_one_subscriptions_and_not_yet_under_way() {
    let mut outgoing = Outgoing::default();
    for owner in [1, 2, 1] {
        outgoing.push_for(owner, &chunk(frame(7, 10), 1), Dirty::Waits);
    }
    outgoing.push(frame(7, 10));
    assert_eq!(outgoing.owners(), HashMap::from([(1, 12), (2, 12)]));
    assert_eq!(outgoing.drop_of(1), 1, "the first chunk may be under way");
    assert_eq!((outgoing.publication_bytes(), outgoing.answer_bytes()), (24, 12));
    outgoing.advance(36);
    assert!(outgoing.is_empty());
}

proptest! {
    /// Goal: whatever is urgent and however the socket takes it, nothing is lost, nothing comes twice, each subscription
    /// keeps its order, no answer changes places with anything, and what is urgent waits behind its own and answers only.
    #[test]
    fn what_is_urgent_overtakes_other_subscriptions_and_nothing_else(
        steps in proptest::collection::vec((0..4_u8, any::<bool>(), 0..3_usize), 1..40),
    ) {
        let mut outgoing = Outgoing::default();
        let mut seen = Vec::new();
        let mut sent = Vec::new();
        for (number, (owner, urgent, chunks_taken)) in steps.into_iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            let urgency = if urgent { Dirty::Urgent } else { Dirty::Waits };
            if owner == 0 {
                outgoing.push(Bytes::copy_from_slice(&[0, number, 9]));
            } else {
                let bytes = Bytes::copy_from_slice(&[owner, number, 9]);
                outgoing.push_for(u32::from(owner), &chunk(bytes, 1), urgency);
                if urgent {
                    let waiting = outgoing.waiting();
                    let under_way = waiting.len() % 3;
                    let waiting: Vec<&[u8]> = waiting[under_way..].chunks(3).collect();
                    let at = waiting.iter().position(|one| one[1] == number).unwrap();
                    let slower = waiting[1.min(at)..at].iter().rev().take_while(|one| one[0] != 0);
                    for one in slower {
                        let (other_owner, other) = (one[0], usize::from(one[1]));
                        let (_, was_urgent) = sent.get(other).copied().unwrap_or_default();
                        let with_urgent = sent.iter().skip(other).any(|(own, urgent)| *urgent && *own == other_owner);
                        prop_assert!(other_owner == owner || was_urgent || with_urgent);
                    }
                }
            }
            sent.push((owner, urgent && owner != 0));
            let now = outgoing.waiting();
            let count = (chunks_taken * 2).min(now.len());
            seen.extend_from_slice(&now[..count]);
            outgoing.advance(count);
        }
        seen.extend(outgoing.waiting());
        let rest = outgoing.waiting().len();
        prop_assert_eq!(outgoing.publication_bytes() + outgoing.answer_bytes(), rest);
        outgoing.advance(rest);
        prop_assert!(outgoing.is_empty());
        let seen: Vec<(u8, u8)> = seen.chunks(3).map(|one| (one[0], one[1])).collect();
        for owner in 0..4_u8 {
            let order: Vec<u8> = seen.iter().filter(|one| one.0 == owner).map(|one| one.1).collect();
            let pushed = sent.iter().enumerate().filter(|(_, one)| one.0 == owner);
            let pushed: Vec<u8> = pushed.map(|(number, _)| u8::try_from(number).unwrap()).collect();
            prop_assert_eq!(order, pushed, "each subscription keeps its order, and so do the answers");
        }
        for (at, (_, number)) in seen.iter().enumerate().filter(|(_, one)| one.0 == 0) {
            let before = seen[..at].iter().all(|one| one.1 < *number);
            let after = seen[at + 1..].iter().all(|one| one.1 > *number);
            prop_assert!(before && after, "nothing changes places with an answer");
        }
    }
}
