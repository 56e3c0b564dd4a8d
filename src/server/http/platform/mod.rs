//! The paths that guides to feature platforms use: what `/v1` does, in the forms that their readers write.

mod batch;
mod describe;
mod get_features;
mod online;
mod register;
mod request;
mod row;

pub(super) use batch::batch;
pub(super) use describe::{feature, lineage};
pub(super) use get_features::get_features;
pub(super) use online::{OnlineQuery, online, online_of};
pub(super) use register::register;
