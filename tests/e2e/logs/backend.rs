//! A Kubernetes API that gives every request one and the same answer, byte for byte.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Serves `answer` for as long as the process lives. Gives the URL.
pub(crate) fn serve(answer: Vec<u8>) -> String {
    serve_with(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
}

/// The same at a place that is known already.
pub(crate) fn serve_with(listener: TcpListener, answer: Vec<u8>) -> String {
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve_one(stream, &answer));
        }
    });
    url
}

/// One request, one answer, the end.
fn serve_one(mut stream: TcpStream, answer: &[u8]) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        let chunked = text.contains("transfer-encoding: chunked");
        let complete = if chunked { text.ends_with("0\r\n\r\n") } else { request.len() >= head + 4 + length.unwrap_or(0) };
        if complete {
            return stream.write_all(answer).ok();
        }
    }
}
