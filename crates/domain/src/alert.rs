//! What an announcement says beyond its text, in the words of the Common Alerting Protocol 1.2 (OASIS, July 2010).

use serde::{Deserialize, Serialize};

use crate::{AnnouncementId, Lane, LocalizedText, VenueId};

/// Declares an enum of CAP words with their spelling in CAP.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $cap:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The word as CAP spells it.
            pub fn cap(self) -> &'static str {
                match self { $(Self::$variant => $cap,)+ }
            }
        }
    )+};
}

words! {
    /// What a message does to those before it.
    MessageType {
        /// It is the first of its kind.
        Alert = "Alert",
        /// It replaces an earlier one.
        Update = "Update",
        /// The danger that an earlier one told of is over.
        AllClear = "Cancel",
        /// An earlier one should not have been sent.
        Recall = "Cancel",
    }
    /// How bad it is: CAP's severity.
    AlertSeverity {
        /// Extraordinary threat to life or property.
        Extreme = "Extreme",
        /// Significant threat.
        Severe = "Severe",
        /// Possible threat.
        Moderate = "Moderate",
        /// Minimal to no known threat.
        Minor = "Minor",
        /// Not said.
        Unknown = "Unknown",
    }
    /// How soon something has to be done.
    AlertUrgency {
        /// Now.
        Immediate = "Immediate",
        /// Within the next hour.
        Expected = "Expected",
        /// Later.
        Future = "Future",
        /// Nothing any more.
        Past = "Past",
        /// Not said.
        Unknown = "Unknown",
    }
    /// How sure it is.
    AlertCertainty {
        /// It has happened or goes on.
        Observed = "Observed",
        /// More likely than not.
        Likely = "Likely",
        /// Possible, but not likely.
        Possible = "Possible",
        /// Not expected.
        Unlikely = "Unlikely",
        /// Not said.
        Unknown = "Unknown",
    }
    /// What it is about.
    AlertCategory {
        /// Earth and landslides.
        Geo = "Geo",
        /// Weather.
        Met = "Met",
        /// General emergency and public safety.
        Safety = "Safety",
        /// Law enforcement and security.
        Security = "Security",
        /// Rescue.
        Rescue = "Rescue",
        /// Fire.
        Fire = "Fire",
        /// Medical and public health.
        Health = "Health",
        /// Environment.
        Env = "Env",
        /// Transport.
        Transport = "Transport",
        /// Utilities and other infrastructure.
        Infra = "Infra",
        /// Chemical, biological, radiological, nuclear or explosive.
        Cbrne = "CBRNE",
        /// Anything else.
        Other = "Other",
    }
}

/// What an announcement says beyond its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it does to those before it.
    pub message_type: MessageType,
    /// The one that it updates, ends or recalls.
    pub references: Option<AnnouncementId>,
    /// What it is about.
    pub category: AlertCategory,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// How soon something has to be done.
    pub urgency: AlertUrgency,
    /// How sure it is.
    pub certainty: AlertCertainty,
    /// Where: the venues that it is about. Empty: the whole festival.
    pub venue_ids: Vec<VenueId>,
    /// What people should do.
    pub instructions: Option<LocalizedText>,
    /// Whether it is only practised: told to the staff alone, and marked wherever it is shown.
    pub drill: bool,
}

/// What stands before the title of a drill, in each language.
const DRILL_MARKS: [&str; 2] = ["[تدريب] ", "[DRILL] "];

impl Alert {
    /// What is assumed of an announcement in `lane` that does not say.
    pub fn of(lane: Lane) -> Self {
        let (severity, urgency, certainty) = match lane {
            Lane::Emergency => (AlertSeverity::Severe, AlertUrgency::Immediate, AlertCertainty::Observed),
            Lane::Transactional | Lane::Standard | Lane::Promotional => {
                (AlertSeverity::Unknown, AlertUrgency::Unknown, AlertCertainty::Unknown)
            }
        };
        Self {
            message_type: MessageType::Alert,
            references: None,
            category: AlertCategory::Safety,
            severity,
            urgency,
            certainty,
            venue_ids: Vec::new(),
            instructions: None,
            drill: false,
        }
    }

    /// `text` as people read it: marked in a drill.
    #[must_use]
    pub fn marked(&self, text: &LocalizedText) -> LocalizedText {
        if !self.drill {
            return text.clone();
        }
        let [ar, en] = DRILL_MARKS;
        let mark = |mark: &str, text: &Option<String>| text.as_ref().map(|text| format!("{mark}{text}"));
        LocalizedText { ar: mark(ar, &text.ar), en: mark(en, &text.en) }
    }

    /// `body` with what people should do, each in its own language.
    #[must_use]
    pub fn with_instructions(&self, body: &LocalizedText) -> LocalizedText {
        let Some(instructions) = &self.instructions else { return body.clone() };
        let join = |body: &Option<String>, instruction: &Option<String>| match (body, instruction) {
            (Some(body), Some(instruction)) => Some(format!("{body}\n{instruction}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        };
        LocalizedText { ar: join(&body.ar, &instructions.ar), en: join(&body.en, &instructions.en) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_marked_in_each_language_and_instructions_follow_the_text() {
        let mut alert = Alert::of(Lane::Emergency);
        let text = LocalizedText { ar: Some("عاصفة".to_owned()), en: Some("Storm".to_owned()) };
        assert_eq!(alert.marked(&text), text);
        alert.drill = true;
        assert_eq!(alert.marked(&text).en.as_deref(), Some("[DRILL] Storm"));
        assert_eq!(alert.marked(&text).ar.as_deref(), Some("[تدريب] عاصفة"));
        alert.instructions = Some(LocalizedText::english("Go to hall B"));
        let both = alert.with_instructions(&text);
        assert_eq!((both.ar.as_deref(), both.en.as_deref()), (Some("عاصفة"), Some("Storm\nGo to hall B")));
    }

    #[test]
    fn what_was_written_before_there_were_alerts_is_still_read() {
        let alert = Alert::of(Lane::Emergency);
        let text = serde_json::to_string(&alert).unwrap();
        assert_eq!(serde_json::from_str::<Alert>(&text).unwrap(), alert);
        assert_eq!((MessageType::AllClear.cap(), AlertCategory::Cbrne.cap()), ("Cancel", "CBRNE"));
    }
}
