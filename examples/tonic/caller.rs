//! Reads a thermometer behind an edge: `tonic-caller CLIENT_ID [ADDRESS]`.

use std::env::args;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use thermometer::thermometer_service_client::ThermometerServiceClient;
use thermometer::{ReadRequest, WatchRequest};

mod thermometer {
    tonic::include_proto!("thermometer.v1");
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = read().await else {
        return ExitCode::SUCCESS;
    };
    match error.downcast_ref::<Status>() {
        Some(status) => eprintln!("{:?}: {}", status.code(), status.message()),
        None => eprintln!("{error:#}"),
    }
    ExitCode::FAILURE
}

async fn read() -> anyhow::Result<()> {
    let client_id = args()
        .nth(1)
        .context("usage: tonic-caller CLIENT_ID [ADDRESS]")?;
    let address = args().nth(2).unwrap_or_else(|| "localhost:7592".to_owned());
    // All that a caller adds.
    let client_id: MetadataValue<Ascii> = client_id.parse()?;
    let edge = move |mut request: Request<()>| {
        request
            .metadata_mut()
            .insert("client-id", client_id.clone());
        Ok(request)
    };

    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .timeout(Duration::from_secs(10))
        .connect()
        .await?;
    let mut thermometer = ThermometerServiceClient::with_interceptor(channel, edge);

    let reading = thermometer.read(ReadRequest {}).await?.into_inner();
    println!("{:.1} degrees in the {}", reading.celsius, reading.room);

    let mut readings = thermometer
        .watch(WatchRequest { count: 3 })
        .await?
        .into_inner();
    while let Some(reading) = readings.message().await? {
        println!("{:.1}", reading.celsius);
    }
    Ok(())
}
