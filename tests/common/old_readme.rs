//! The manifests of the old README, verbatim: what people find there has to work.

/// Its cron line is no YAML.
pub const OLD_CRON: &str = "apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: workload2
spec:
  deviceSelector:
    matchLabels:
      device: toto
  type: pod
  cron: *\\1 * * * *
  pod:
    spec:
      containers:
        - name: work
          image: quay.io/ctupangiu/cron-workload:latest
";

/// Name, namespace and profiles stand where they do not belong.
pub const OLD_DEVICE: &str = "apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata:
  labels:
    app: camera
    name: toto
    namespace: default
spec:
  heartbeat:
    periodSeconds: 2
    profiles:
      - name: test
        conditions:
          - name: \"off\"
            expression: \"x<3% || x == nil\"
          - name: \"another_one\"
            expression: \"y>3\"
";

/// A tab in the indentation; profiles in the selector.
pub const OLD_GATED: &str = "apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: nginx-rootfull
spec:
  deviceSelector:
    matchLabels:
      app: camera
    profiles:
    \t- name: \"test\"
        conditions:
          - \"off\"
  type: k8s
  pod:
    spec:
      containers:
        - name: nginx1
          image: quay.io/project-flotta/nginx:1.21.6
";
