//! What all structs of options have in common: how they fail, and how they are read.

/// Which option does not make sense, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The option must be greater than zero.
    #[error("`{option}` must be greater than zero")]
    Zero {
        /// The option's name.
        option: &'static str,
    },
    /// The duration does not fit a browser's timer (2³¹ ms, about 24 days).
    #[error("`{option}` must be at most 2147483647 ms")]
    TooLong {
        /// The option's name.
        option: &'static str,
    },
    /// `allowed_transports` is empty.
    #[error("`allowed_transports` must name at least one transport")]
    NoTransport,
    /// The option's text or number is not usable.
    #[error("`{option}` {reason}")]
    Invalid {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Durations as whole milliseconds.
pub(crate) mod millis {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Durations as whole milliseconds, where a negative number or nothing means "no limit".
pub(crate) mod optional_millis {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_i64(value.map_or(-1, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let millis = Option::<i64>::deserialize(from)?;
        Ok(millis.and_then(|it| u64::try_from(it).ok()).map(Duration::from_millis))
    }
}

/// Counts where a negative number or nothing means "no limit".
pub(crate) mod count {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(value.map_or(-1, i64::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        match Option::<i64>::deserialize(from)? {
            Some(value) if value >= 0 => u32::try_from(value)
                .map(Some)
                .map_err(|_| serde::de::Error::custom("the number is too large")),
            _ => Ok(None),
        }
    }
}
