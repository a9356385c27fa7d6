//! Opening a stream into a pod: exec, attach, portforward. Owns what is checked before the connection changes; what
//! runs then is in `programs` and `ports`.

use serde_json::Value;

use crate::list;
use crate::ports::Ports;
use crate::programs::Program;
use crate::request::{Head, Query};
use crate::route::Target;
use crate::session::{Channels, Session as Process, Version};
use crate::shared::Shared;
use crate::status::Refusal;
use crate::upgrade::{Handshake, Session, Upgrade};

const PROTOCOLS: [&str; 3] = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];
const PORT_PROTOCOLS: [&str; 1] = ["v4.channel.k8s.io"];

/// Whether a subresource of a pod is a stream.
pub(crate) fn is_stream(sub: &str) -> bool {
    matches!(sub, "exec" | "attach" | "portforward")
}

pub(crate) fn open(shared: &Shared, head: &Head, target: &Target) -> Result<Upgrade, Refusal> {
    let pod = list::find(shared, &list::key(target))?;
    match target.sub.as_deref() {
        Some("portforward") => {
            // First the protocol: clients that speak another have no ports in the query.
            let handshake = Handshake::negotiate(head, &PORT_PROTOCOLS)?;
            let ports = Ports::parse(head.query.all("ports"))?;
            Ok(Upgrade { handshake, session: Session::Ports(ports) })
        }
        sub => {
            container(&pod, &head.query)?;
            let channels = channels(&head.query)?;
            let program = if sub == Some("exec") { Program::parse(&command(&head.query)?) } else { Program::Attached };
            let handshake = Handshake::negotiate(head, &PROTOCOLS)?;
            let version = match handshake.protocol {
                Some("v5.channel.k8s.io") => Version::V5,
                Some("v4.channel.k8s.io") => Version::V4,
                Some(_) | None => Version::V1,
            };
            Ok(Upgrade { handshake, session: Session::Process(Process { version, channels, program }) })
        }
    }
}

fn command(query: &Query) -> Result<Vec<String>, Refusal> {
    let words: Vec<String> = query.all("command").map(str::to_owned).collect();
    if words.first().is_none_or(String::is_empty) {
        return Err(Refusal::bad_request("you must specify at least one command for the container"));
    }
    Ok(words)
}

fn channels(query: &Query) -> Result<Channels, Refusal> {
    let channels = Channels {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr") && !query.flag("tty"),
        tty: query.flag("tty"),
    };
    if channels.stdin || channels.stdout || channels.stderr {
        Ok(channels)
    } else {
        Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"))
    }
}

/// The container must be one of the pod's, and must be named where there are several.
fn container(pod: &Value, query: &Query) -> Result<(), Refusal> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let containers = ["initContainers", "containers", "ephemeralContainers"].map(|list| pod["spec"][list].as_array());
    let names = |list: Option<&Vec<Value>>| -> Vec<String> {
        list.into_iter().flatten().filter_map(|c| c["name"].as_str()).map(str::to_owned).collect()
    };
    let plain = names(containers[1]);
    match query.get("container") {
        Some(asked) => {
            if containers.into_iter().any(|list| names(list).iter().any(|name| name == asked)) {
                return Ok(());
            }
            Err(Refusal::bad_request(format!("container {asked} is not valid for pod {pod_name}")))
        }
        None if plain.len() == 1 => Ok(()),
        None => Err(Refusal::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            plain.join(" ")
        ))),
    }
}
