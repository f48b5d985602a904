{{/*
An object as kustomize reads it, put into the release: its namespace, the labels that all objects carry.
Takes a list: the root context, the object as text or as a dict, further labels.
*/}}
{{- define "gc-otel.object" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $metadata := $object.metadata -}}
{{- $labels := dict "app.kubernetes.io/part-of" "gc-otel" -}}
{{- with $root.Values.release }}{{ $_ := set $labels "release" . }}{{ end -}}
{{- $_ := set $metadata "labels" (merge $labels (default dict $metadata.labels)) -}}
{{- $_ := set $metadata "namespace" (default $root.Release.Namespace $root.Values.namespace) -}}
---
{{ toYaml $object }}
{{ end -}}
