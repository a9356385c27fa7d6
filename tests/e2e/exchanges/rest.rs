//! Everyday requests to the Kubernetes API.

use devplane::plane::{Body, Part};
use serde_json::json;

use crate::harness::{ADMIN_TOKEN, Setup};
use crate::rig::{BLOB, CONFIG_MAPS, ECHO, MARK, Rig, VIEWER_TOKEN, bare, blob, config_map, get, json, parts, request};

#[test]
fn f04_get_list_create_patch_delete() {
    let rig = Rig::start();
    let list = rig.ask(get("/api/v1/namespaces/default/pods"));
    assert_eq!((list.status, &list.error), (200, &None));
    assert_eq!(json(&list)["items"].as_array().unwrap().len(), 2);

    let mut create = request("POST", CONFIG_MAPS).header("Content-Type", "application/json");
    create.body = Body::Json(config_map("made"));
    let created = rig.ask(create);
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(json(&created)["metadata"]["name"], "made");
    assert!(rig.kube().get("configmaps", "default", "made").is_some());

    let one = format!("{CONFIG_MAPS}/made");
    assert_eq!(json(&rig.ask(get(&one)))["data"], json!({"key": "value"}));
    let mut patch = request("PATCH", &one).header("Content-Type", "application/merge-patch+json");
    patch.body = Body::Base64(br#"{"data":{"key":"other"}}"#.to_vec());
    assert_eq!(json(&rig.ask(patch))["data"], json!({"key": "other"}));
    assert_eq!(json(&rig.ask(get(&one).buffered()))["data"], json!({"key": "other"}));

    assert_eq!(rig.ask(request("DELETE", &one)).status, 200);
    assert!(rig.kube().get("configmaps", "default", "made").is_none());
    assert_eq!(rig.ask(get(&one)).status, 404);
    rig.finish();
}

#[test]
fn f04_rbac_answers_pass_unchanged() {
    let rig = Rig::start();
    let mut create = bare("POST", CONFIG_MAPS)
        .header("Authorization", format!("Bearer {VIEWER_TOKEN}"))
        .header("Content-Type", "application/json");
    create.body = Body::Json(config_map("forbidden"));
    for request in [create.clone(), create.buffered()] {
        let answer = rig.ask(request);
        assert_eq!((answer.status, &answer.error), (403, &None));
        let status = json(&answer);
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["reason"], "Forbidden");
        assert_eq!(
            status["message"],
            "configmaps is forbidden: User \"viewer\" cannot create resource \"configmaps\" in API group \"\" in the \
             namespace \"default\""
        );
        assert!(answer.header("audit-id").is_some(), "{answer:?}");
    }
    let seen = rig.proxied();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.user.as_deref() == Some("viewer")));
    rig.finish();
}

#[test]
fn answers_without_a_body() {
    let rig = Rig::start();
    let bytes = blob(&rig, 5000);
    let answer = rig.ask(request("HEAD", BLOB));
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{answer:?}");
    assert_eq!(answer.header("content-length"), Some(bytes.len().to_string().as_str()));
    let buffered = rig.ask(request("HEAD", BLOB).buffered());
    assert_eq!((buffered.status, buffered.body.len()), (200, 0));

    for status in [204, 304] {
        let behaviour = devkube::Behaviour::Status(status);
        rig.kube().set_behaviour(BLOB, behaviour);
        let parts = rig.parts(get(BLOB));
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert!(matches!(&parts[0], Part::Head { status: got, .. } if *got == status));
        assert_eq!(parts[1], Part::End);
        let buffered = rig.ask(get(BLOB).buffered());
        assert_eq!((buffered.status, buffered.body, buffered.error), (status, vec![], None));
    }
    // The connections are still good for what comes after.
    rig.kube().clear_behaviours();
    assert_eq!(rig.ask(get(BLOB)).body, bytes);
    rig.finish();
}

#[test]
fn queries_pass_verbatim() {
    let rig = Rig::start();
    let query = "labelSelector=app%20in%20(web%2Cx)&fieldSelector=metadata.name%3Dweb-0&b=2&a=1&limit=5&e=&x=%2F+y;z&u=%C3%A4";
    let answer = rig.ask(get("/api/v1/namespaces/default/pods").query(query));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(json(&answer)["items"].as_array().unwrap().len(), 1);
    assert_eq!(rig.proxied()[0].query, query);
    // A path comes decoded and leaves encoded, once.
    let odd = "/api/v1/namespaces/default/configmaps/a b&c=d+e:f@ä";
    assert_eq!(rig.ask(get(odd)).status, 404);
    assert_eq!(rig.proxied()[1].path, "/api/v1/namespaces/default/configmaps/a%20b&c=d+e:f@%C3%A4");
    rig.finish();
}

#[test]
fn must8_header_values_as_arrays_and_as_strings() {
    let rig = Rig::start();
    for plain in [false, true] {
        let mut request =
            bare("GET", "/version").header("Authorization", format!("Bearer {ADMIN_TOKEN}")).header("X-One", "first");
        request.headers.push(("X-Two".into(), vec!["a".into(), "b, c".into()]));
        request.spelling.plain_headers = plain;
        assert_eq!(rig.ask(request).status, 200);
        let seen = rig.proxied().pop().unwrap();
        assert_eq!(seen.header("x-one"), Some("first"));
        let two: Vec<_> = seen.headers.iter().filter(|(n, _)| n == "x-two").collect();
        assert_eq!(two.len(), 2, "{two:?}");
        assert_eq!((two[0].1.as_str(), two[1].1.as_str()), ("a", "b, c"));
        assert_eq!(seen.header(MARK), Some("1"));
    }
    rig.finish();
}

#[test]
fn f04_many_kinds_of_paths() {
    let rig = Rig::start();
    for path in ["/version", "/healthz", "/readyz", "/livez", "/api", "/apis", "/apis/apps/v1", "/openapi/v3", "api/v1/nodes"] {
        let answer = rig.ask(get(path));
        assert_eq!((answer.status, answer.error), (200, None), "{path}");
    }
    let all = parts(rig.open(get("/version")));
    assert!(matches!(all.last(), Some(Part::End)));
    rig.finish();
}

#[test]
fn f04_on_the_controllers_socket_and_with_json_in_binary_messages() {
    let mut setups = [(); 2].map(|()| Setup::default());
    setups[0].gateway = false;
    setups[1].plane.binary_envelopes = true;
    for setup in setups {
        let rig = Rig::of(setup, |launch| launch);
        assert_eq!(rig.ask(get("/api/v1/nodes")).status, 200);
        for body in [Body::Binary(b"body".to_vec()), Body::Raw("body".into())] {
            let mut upload = request("POST", ECHO);
            upload.body = body;
            assert_eq!(json(&rig.ask(upload))["length"], 4);
        }
        let mut watch = rig.open(get(CONFIG_MAPS).query("watch=true"));
        assert_eq!(crate::rig::head(&mut watch), 200);
        drop(watch);
        rig.finish();
    }
}
