{{- define "classify-worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "classify-worker.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "classify-worker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "classify-worker.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* What selects the pods: it never changes, since a Deployment's selector cannot. */ -}}
{{- define "classify-worker.selectorLabels" -}}
app.kubernetes.io/name: {{ include "classify-worker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "classify-worker.labels" -}}
{{ include "classify-worker.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: worker
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "classify-worker.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}

{{- /* A setting's environment variable: kafka.sasl.password is WORKER_KAFKA__SASL__PASSWORD. */ -}}
{{- define "classify-worker.variable" -}}
WORKER_{{ . | upper | replace "." "__" }}
{{- end }}

{{- define "classify-worker.httpPort" -}}
{{- (.Values.config.http).port | default 8080 | int }}
{{- end }}

{{- /* Refuses values that are valid one by one, but not together or not on Kubernetes. */ -}}
{{- define "classify-worker.checks" -}}
{{- $config := .Values.config -}}
{{- range $name := list "port" "metrics_port" -}}
{{- if eq (get ($config.http | default dict) $name | toString) "0" -}}
{{- fail (printf "config.http.%s is 0, any free port, which probes and Prometheus cannot know: name one" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.workload "Deployment") ($config.kafka).group_instance_id -}}
{{- fail "config.kafka.group_instance_id would be the same in all replicas, which then exclude each other from the group: use workload StatefulSet, which names each by its pod" -}}
{{- end -}}
{{- if and (eq (.Values.updateStrategy.maxUnavailable | toString) "0") (eq (.Values.updateStrategy.maxSurge | toString) "0") -}}
{{- fail "updateStrategy.maxUnavailable and updateStrategy.maxSurge are both 0, with which an update could not begin: raise one" -}}
{{- end -}}
{{- if .Values.model.pullFirst -}}
{{- if $config.model_dir -}}
{{- fail "model.pullFirst pulls config.model, which config.model_dir takes the place of: leave out one of both" -}}
{{- end -}}
{{- if contains "/" ($config.model | default "") -}}
{{- fail (printf "model.pullFirst pulls a model by its name, and config.model (%s) is a path: leave pullFirst out" $config.model) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The port of probes and metrics where it is one of its own (http.metrics_port), else nothing. */ -}}
{{- define "classify-worker.metricsPort" -}}
{{- $own := (.Values.config.http).metrics_port | default 0 | int -}}
{{- if and $own (ne $own (include "classify-worker.httpPort" . | int)) }}{{ $own }}{{ end }}
{{- end }}

{{- /* Whether the worker speaks TLS: the certificate is in a Secret, or in a volume of one's own. */ -}}
{{- define "classify-worker.secure" -}}
{{- $found := ((.Values.config.http).tls).cert_file | default "" -}}
{{- range .Values.secretFiles }}{{ if eq .setting "http.tls.cert_file" }}{{ $found = .key }}{{ end }}{{ end -}}
{{- if $found }}true{{ end }}
{{- end }}

{{- /* The name of the port that probes and Prometheus ask. */ -}}
{{- define "classify-worker.probePort" -}}
{{- if include "classify-worker.metricsPort" . }}metrics{{ else }}http{{ end }}
{{- end }}

{{- /* Seconds that a replica needs to stop: its own deadline, rounded up, and what preStop waits. */ -}}
{{- define "classify-worker.gracePeriod" -}}
{{- $deadline := ((.Values.config.shutdown).deadline | default 25) | ceil | int -}}
{{- add $deadline 15 (include "classify-worker.preStop" . | int) }}
{{- end }}

{{- /* With HTTP a Service must take the pod out before it refuses requests; Kafka needs no such wait. */ -}}
{{- define "classify-worker.preStop" -}}
{{- if (.Values.config.http).infer }}5{{ else }}0{{ end }}
{{- end }}

{{- /* Lag for each replica: what one clears in the target time. */ -}}
{{- define "classify-worker.lagThreshold" -}}
{{- mulf .Values.autoscaling.jobsPerSecond .Values.autoscaling.targetSeconds | ceil | int }}
{{- end }}

{{- /*
Lag by rate, of the whole group: what one replica says of itself (classify_time_to_drain_seconds) is infinite while it
does nothing, and KEDA takes no such number. Below one job a second the rate says nothing: an idle group, or one that
has just started.
*/ -}}
{{- define "classify-worker.drainQuery" -}}
{{- $pods := printf "namespace=%q,job=%q" .Release.Namespace .Release.Name -}}
{{- $query := printf "sum(classify_partition_lag_records{%s}) / clamp_min(sum(rate(classify_jobs_total{%s}[1m])), 1)" $pods $pods -}}
{{- default $query .Values.autoscaling.prometheus.query }}
{{- end }}
