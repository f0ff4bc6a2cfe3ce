//! When the certificates in use end: a metric, and words in time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tracing::warn;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const DAY: i64 = 24 * 60 * 60;
/// How long before its end a certificate is spoken of.
const SOON: i64 = 14 * DAY;
/// How often.
pub(crate) const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate in use.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// The path of the option that names it.
    option: String,
    file: PathBuf,
    /// In seconds since 1970.
    end: i64,
}

impl Certificate {
    /// One in DER; none for what has no end that can be read.
    pub(super) fn of(option: &str, file: PathBuf, der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            option: option.to_owned(),
            file,
            end: certificate.validity().not_after.timestamp(),
        })
    }

    /// In seconds, and below 0 once it is over.
    fn left(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        self.end - i64::try_from(now).unwrap_or(i64::MAX)
    }
}

/// The certificates in use. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates(Arc<Mutex<Vec<Certificate>>>);

impl Certificates {
    /// Others are in use now.
    pub(crate) fn set(&self, certificates: Vec<Certificate>) {
        *self.lock() = certificates;
    }

    /// Says which end soon.
    pub(crate) fn remind(&self) {
        for certificate in self.lock().iter() {
            let (left, file) = (certificate.left(), certificate.file.display());
            match left / DAY {
                _ if left >= SOON => {}
                _ if left <= 0 => warn!(%file, "certificate has expired"),
                days => warn!(%file, days, "certificate expires soon"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Certificate>> {
        // A panic while the lock is held leaves a list that is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let certificates = self.lock();
        if certificates.is_empty() {
            return Ok(());
        }
        let help = "Seconds until a certificate in use ends, below 0 once it did, by the option that names it";
        let mut gauges = encoder.encode_descriptor(
            "certificate_expiry_seconds",
            help,
            None,
            MetricType::Gauge,
        )?;
        for certificate in certificates.iter() {
            let labels = [("certificate", certificate.option.as_str())];
            ConstGauge::new(certificate.left()).encode(gauges.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
