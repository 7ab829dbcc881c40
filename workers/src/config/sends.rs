//! How long a send can take, by its adapter's own limits.

use service::Faults;

use super::Config;

impl Config {
    /// Nobody may touch a delivery while its adapter can still be at it.
    pub(super) fn check_sends(&self, faults: &mut Faults) {
        let (apns, fcm, webpush, email) = (&self.apns, &self.fcm, &self.webpush, &self.email);
        let longest = [
            (
                "apns.send_ms_max",
                self.deliver.apns.send_ms_max,
                vec![apns.stream_wait_ms, apns.connect_timeout_ms, apns.request_timeout_ms],
            ),
            (
                "fcm.send_ms_max",
                self.deliver.fcm.send_ms_max,
                vec![fcm.stream_wait_ms, fcm.connect_timeout_ms, fcm.request_timeout_ms],
            ),
            (
                "webpush.send_ms_max",
                self.deliver.webpush.send_ms_max,
                vec![webpush.request_wait_ms, webpush.connect_timeout_ms, webpush.request_timeout_ms],
            ),
            (
                "email.send_ms_max",
                self.deliver.email.send_ms_max,
                vec![
                    email.connection_wait_ms,
                    email.connect_timeout_ms,
                    email.command_timeout_ms.saturating_mul(3), // sender, recipient, begin of content
                    email.content_timeout_ms,
                    email.final_timeout_ms,
                ],
            ),
        ];
        for (field, send_ms_max, waits) in longest {
            let sum: u64 = waits.into_iter().map(u64::from).sum();
            if send_ms_max < sum {
                faults.add(field, format!("must be at least the adapter's own waits together, {sum}"));
            }
        }
    }
}
