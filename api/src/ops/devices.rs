//! Registering phones and browsers for push.

use domain::{DeviceId, UserId};
use store::devices::{self, Device, NewDevice};
use store::{StoreError, Tx};

use crate::app::App;
use crate::etag::{ETag, Tags};

/// Why a device was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// The caller has no such device.
    #[error("there is no such device")]
    NotFound,
    /// Somebody has changed it since.
    #[error("the device is at another version")]
    Stale(Box<Device>),
    /// Another installation or channel: that is another device.
    #[error("installation and channel of a device cannot change")]
    AnotherDevice,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tag of a device.
pub(crate) fn etag(device: &Device) -> ETag {
    ETag::of("device", device.id, device.version)
}

/// Registers a device, new or known; whether it is new comes with it.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn register(app: &App, tx: &mut Tx, new: &NewDevice) -> Result<(Device, bool), StoreError> {
    let registered = devices::register(tx, new, app.clock.now()).await?;
    let now = app.clock.now();
    devices::retire_beyond(tx, new.user_id, app.config.limits.devices_per_user_max, now).await?;
    Ok(registered)
}

/// Replaces what is registered of a device.
///
/// # Errors
/// [`DeviceError`].
pub(crate) async fn replace(
    app: &App,
    tx: &mut Tx,
    id: DeviceId,
    seen: &Tags,
    new: &NewDevice,
) -> Result<Device, DeviceError> {
    let before = lock(tx, new.user_id, id, seen).await?;
    if before.installation_id != new.installation_id || before.channel != new.token_kind.channel() {
        return Err(DeviceError::AnotherDevice);
    }
    let (device, _) = register(app, tx, new).await?;
    Ok(device)
}

/// Removes a device.
///
/// # Errors
/// [`DeviceError`].
pub(crate) async fn remove(
    tx: &mut Tx,
    user_id: UserId,
    id: DeviceId,
    seen: &Tags,
) -> Result<(), DeviceError> {
    let device = lock(tx, user_id, id, seen).await?;
    Ok(devices::delete(tx, device.id).await?)
}

async fn lock(tx: &mut Tx, user_id: UserId, id: DeviceId, seen: &Tags) -> Result<Device, DeviceError> {
    let device = devices::lock(tx, user_id, id).await?.ok_or(DeviceError::NotFound)?;
    if seen.allow_write_to(&etag(&device)) { Ok(device) } else { Err(DeviceError::Stale(Box::new(device))) }
}
