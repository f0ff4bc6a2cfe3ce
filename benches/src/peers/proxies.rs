//! Reverse proxies that speak HTTP/2 to both sides. They dial the backend themselves: there is no tunnel.

use std::process::Command;

use grpc_multiplexer_tests::isolated;

use super::{Kind, Setup};

/// nginx, with the limits that it ends connections by out of the way.
pub(super) const NGINX: Kind = Kind {
    name: "nginx",
    program: "nginx",
    from: "apt-get install nginx-light",
    start: nginx,
    control: |setup| setup.address,
};

/// HAProxy.
pub(super) const HAPROXY: Kind = Kind {
    name: "haproxy",
    program: "haproxy",
    from: "apt-get install haproxy",
    start: haproxy,
    control: |setup| setup.address,
};

fn nginx(setup: &Setup) -> Vec<Command> {
    let folder = setup.folder.0.display();
    let configuration = format!(
        "worker_processes auto; daemon off; pid {folder}/pid; error_log stderr warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            keepalive_requests 100000000; http2_max_requests 100000000; http2_max_concurrent_streams 1024;
            upstream backend {{ server {backend}; keepalive 256; keepalive_requests 100000000; }}
            server {{
                listen {address} http2;
                client_max_body_size 0; client_body_timeout 600s; grpc_read_timeout 600s;
                location / {{ grpc_pass grpc://backend; }}
            }}
        }}\n",
        backend = setup.backend,
        address = setup.address,
    );
    let mut command = isolated(&setup.program);
    command.args(["-c", &setup.folder.put("nginx.conf", configuration)]);
    vec![command]
}

fn haproxy(setup: &Setup) -> Vec<Command> {
    let configuration = format!(
        "global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend callers
  bind {address} proto h2
  default_backend backends
backend backends
  server backend {backend} proto h2\n",
        address = setup.address,
        backend = setup.backend,
    );
    let mut command = isolated(&setup.program);
    command.args(["-db", "-f", &setup.folder.put("haproxy.cfg", configuration)]);
    vec![command]
}
