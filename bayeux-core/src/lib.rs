#![doc = include_str!("../README.md")]
//!
//! # Where to go from here
//!
//! [`Server`] is the machine; [`Input`] and [`Output`] are its language, and its outputs leave in
//! the order of their causes. [`Decoder`] and [`encode`] are the way from bytes and back. [`manual`]
//! says what this server does differently from the originals, and why.
#![no_std]
#![warn(clippy::wildcard_enum_match_arm)]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "adapter")]
pub mod adapter;
mod channel;
mod codec;
mod config;
mod entropy;
#[cfg(feature = "front")]
pub mod front;
#[cfg(feature = "http")]
pub mod http;
mod id;
mod json;
mod limits;
pub mod manual;
mod message;
mod options;
mod server;
mod time;
mod transport;
#[cfg(feature = "http")]
pub mod ws;
pub mod z85;

pub use channel::{
    ChannelKind, ChannelName, ChannelSettings, NameError, Overflow, Params, Pattern, Template,
};
pub use codec::{DecodeError, Decoder, Encoding, encode};
pub use config::{Config, Extensions};
pub use entropy::Entropy;
pub use id::{BrowserId, LinkId, SessionId, ShardTag};
pub use json::Json;
pub use limits::Limits;
pub use message::{
    AckField, AckReply, Advice, BayeuxError, ClientAdvice, Events, ExtensionFields, Message,
    MessageParts, Parcel, Reconnect, Reply, ReplyChannel, ReplyDetails, Request, RequestKind,
    Subscription, TimesyncField, TimesyncReply, Verb,
};
pub use options::ConfigError;
pub use server::{
    Activity, Answer, AskCreate, AskExtend, AskHandshake, AskListen, AskPublish, AskSubscribe,
    Census, ChannelView, Command, Delivery, Denial, Due, Event, EventKind, Figure, FigureKind,
    Input, Latencies, LinkInfo, ListenVerdict, Operation, Output, Question, QuestionId, Receipt,
    Refusal, Removals, RemovedReason, Replies, ResumeCause, RuleList, Rules, Ruling, Server,
    SessionState, SessionView, Setup, Stats, Ticket, Timing, Verdict,
};
pub use time::{Time, WallTime};
pub use transport::Transport;
