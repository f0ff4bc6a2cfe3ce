//! A thermometer: `tonic-backend [ROOM [ADDRESS]]`. An ordinary gRPC server.

use std::env::args;
use std::pin::Pin;

use tokio::net::TcpListener;
use tokio_stream::{Stream, iter};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use thermometer::thermometer_service_server::{ThermometerService, ThermometerServiceServer};
use thermometer::{ReadRequest, ReadResponse, WatchRequest, WatchResponse};

mod thermometer {
    tonic::include_proto!("thermometer.v1");
}

struct Thermometer {
    room: String,
}

#[tonic::async_trait]
impl ThermometerService for Thermometer {
    async fn read(&self, _: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        Ok(Response::new(ReadResponse {
            room: self.room.clone(),
            celsius: 21.5,
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let readings = (0..request.get_ref().count).map(|tenths| {
            let celsius = 21.5 + f64::from(tenths) / 10.0;
            Ok(WatchResponse { celsius })
        });
        Ok(Response::new(Box::pin(iter(readings))))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let room = args().nth(1).unwrap_or_else(|| "kitchen".to_owned());
    let address = args()
        .nth(2)
        .unwrap_or_else(|| "localhost:50051".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("the thermometer in the {room} listens on {address}");
    Server::builder()
        .add_service(ThermometerServiceServer::new(Thermometer { room }))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}
