//! The command line.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use devplane::{AppRoute, Options, Service};
use lexopt::prelude::{Long, Short, Value, ValueExt};

pub(crate) const HELP: &str = "\
The reference control plane, for tests and demonstrations; never for production.

Usage: devplane serve [OPTIONS]

Prints one line of JSON once it listens, then serves until SIGTERM or SIGINT.

  --listen ADDRESS          of the controller              (127.0.0.1:0)
  --gateway-listen ADDRESS  of the gateway                 (127.0.0.1:0)
  --kube-listen ADDRESS     of the front door for kubectl  (127.0.0.1:0)
  --apps-listen ADDRESS     of applications, by host       (127.0.0.1:0)
  --app HOST=NAMESPACE/SERVICE:PORT
                            an application and its service; may be repeated
  --public-host NAME        in the addresses given out, and in the certificate
  --token TOKEN             of agents; otherwise made and printed
  --ca-file PATH            where to write the authority's certificate
  --no-tls                  plain HTTP for agents
  --no-gateway              agents stay with the controller
  --distinct-uuid           cluster_uuid differs from cluster_id
  --ack-heartbeats=BOOL     answer heartbeats              (true)
  --seed NUMBER             decides ids and tokens         (random)
  --mini-kube               also start a small Kubernetes API
  --mini-kube-listen ADDRESS                               (127.0.0.1:0)
  --kubeconfig PATH         where to write the agent's kubeconfig for it
  --verbose, -v             say on stderr what happens
  --help, -h
";

/// What the user wants.
#[derive(Debug)]
pub(crate) enum Wish {
    Help,
    Serve(Box<Arguments>),
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) options: Options,
    pub(crate) mini_kube: bool,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) kube_listen: SocketAddr,
    pub(crate) verbose: bool,
}

/// Reads the command line, the program's name left out.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Wish, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut arguments = Arguments {
        options: Options { seed: fastrand::u64(..), ..Options::default() },
        mini_kube: false,
        kubeconfig: None,
        kube_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        verbose: false,
    };
    let options = &mut arguments.options;
    let mut command = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Wish::Help),
            Value(word) if command.is_none() && word == "serve" => command = Some(word),
            Long("listen") => options.listen = parser.value()?.parse()?,
            Long("gateway-listen") => options.gateway_listen = parser.value()?.parse()?,
            Long("kube-listen") => options.kube_listen = parser.value()?.parse()?,
            Long("apps-listen") => options.apps_listen = parser.value()?.parse()?,
            Long("app") => options.apps.push(parser.value()?.parse_with(app)?),
            Long("public-host") => options.public_host = Some(parser.value()?.string()?),
            Long("token") => options.plane.tokens = vec![parser.value()?.string()?],
            Long("ca-file") => options.ca_file = Some(parser.value()?.into()),
            Long("no-tls") => options.tls = false,
            Long("no-gateway") => options.gateway = false,
            Long("distinct-uuid") => options.plane.distinct_uuid = true,
            Long("ack-heartbeats") => options.plane.acknowledge_heartbeats = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("mini-kube") => arguments.mini_kube = true,
            Long("mini-kube-listen") => arguments.kube_listen = parser.value()?.parse()?,
            Long("kubeconfig") => arguments.kubeconfig = Some(parser.value()?.into()),
            Long("verbose") | Short('v') => arguments.verbose = true,
            Long(_) | Short(_) | Value(_) => return Err(argument.unexpected()),
        }
    }
    match command {
        Some(_) => Ok(Wish::Serve(Box::new(arguments))),
        None => Err("no command; there is `serve`".into()),
    }
}

/// `HOST=NAMESPACE/SERVICE:PORT`.
fn app(text: &str) -> Result<(String, AppRoute), String> {
    let parts = || {
        let (host, service) = text.split_once('=')?;
        let (namespace, service) = service.split_once('/')?;
        let (name, port) = service.split_once(':')?;
        let whole = [host, namespace, name].iter().all(|part| !part.is_empty());
        let service = Service { namespace: namespace.to_owned(), name: name.to_owned(), port: port.parse().ok()? };
        whole.then(|| (host.to_owned(), AppRoute { service: Some(service), ..AppRoute::default() }))
    };
    parts().ok_or_else(|| "not HOST=NAMESPACE/SERVICE:PORT".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str]) -> Result<Wish, String> {
        read(words.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn options() {
        let words = ["serve", "--no-tls", "--token", "t", "--ack-heartbeats=false", "--listen", "127.0.0.1:7", "-v"];
        let Wish::Serve(arguments) = read_words(&words).unwrap() else { panic!("no help was asked for") };
        assert!(!arguments.options.tls && !arguments.options.plane.acknowledge_heartbeats && arguments.verbose);
        assert_eq!(arguments.options.listen.port(), 7);
        assert_eq!(arguments.options.plane.tokens, ["t"]);
        let Wish::Serve(arguments) = read_words(&["serve", "--app", "a.test=shop/web:80"]).unwrap() else { panic!() };
        let service = Service { namespace: "shop".into(), name: "web".into(), port: 80 };
        assert_eq!(arguments.options.apps, [("a.test".to_owned(), AppRoute { service: Some(service), ..AppRoute::default() })]);
        assert!(matches!(read_words(&["--help"]), Ok(Wish::Help)));
    }

    #[test]
    fn mistakes() {
        for words in [
            &["serve", "--nothing"][..],
            &["listen"],
            &["serve", "--listen", "here"],
            &["serve", "--app", "a=b/c"],
            &["serve", "serve"],
            &[],
        ] {
            assert!(read_words(words).is_err(), "{words:?}");
        }
    }
}
