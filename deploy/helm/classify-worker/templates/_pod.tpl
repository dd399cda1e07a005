{{- /* What the containers of the worker and of the init container that pulls share. */ -}}
{{- define "classify-worker.container" -}}
image: {{ include "classify-worker.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
{{- end }}

{{- define "classify-worker.environment" -}}
- name: CLASSIFY_WORKER_CONFIG
  value: /etc/classify-worker/worker.yaml
- name: CLASSIFY_WORKER_CACHE
  value: /var/cache/classify-worker
# Libraries that write below it, in a root file system that is read-only.
- name: HOME
  value: /tmp
{{- if eq .Values.workload "StatefulSet" }}
- name: WORKER_KAFKA__GROUP_INSTANCE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: WORKER_KAFKA__SESSION_TIMEOUT
  value: {{ .Values.statefulSet.sessionTimeout | quote }}
{{- end }}
{{- range .Values.secretSettings }}
- name: {{ include "classify-worker.variable" .setting }}_FILE
  value: /run/secrets/classify-worker/{{ .setting }}
{{- end }}
{{- range .Values.secretFiles }}
- name: {{ include "classify-worker.variable" .setting }}
  value: /run/secrets/classify-worker/{{ .setting }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "classify-worker.mounts" -}}
- name: config
  mountPath: /etc/classify-worker
  readOnly: true
- name: cache
  mountPath: /var/cache/classify-worker
- name: tmp
  mountPath: /tmp
{{- if .Values.model.volume }}
- name: models
  mountPath: /models
  readOnly: true
{{- end }}
{{- if or .Values.secretSettings .Values.secretFiles }}
- name: secrets
  mountPath: /run/secrets/classify-worker
  readOnly: true
{{- end }}
{{- end }}

{{- define "classify-worker.volumes" -}}
- name: config
  configMap:
    name: {{ include "classify-worker.fullname" . }}
- name: cache
  {{- if .Values.cache.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.cache.existingClaim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.cache.size }}
  {{- end }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSize }}
{{- with .Values.model.volume }}
- name: models
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .Values.secretSettings .Values.secretFiles }}
- name: secrets
  projected:
    # For the user and for group `fsGroup`.
    defaultMode: 0440
    sources:
      {{- range concat .Values.secretSettings .Values.secretFiles }}
      - secret:
          name: {{ .secret }}
          items:
            - key: {{ .key }}
              path: {{ .setting }}
      {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "classify-worker.pod" -}}
metadata:
  labels:
    {{- include "classify-worker.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: worker
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    {{- with mergeOverwrite (deepCopy .Values.commonLabels) .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: worker
    # Settings are read at the start: what changes them starts new pods.
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "classify-worker.serviceAccountName" . }}
  automountServiceAccountToken: false
  # The variables of a Service named worker-... would look like settings that nobody knows.
  enableServiceLinks: false
  # Above shutdown.deadline, after which the worker ends itself: nothing is killed while it drains.
  terminationGracePeriodSeconds: {{ include "classify-worker.gracePeriod" . }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpread }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml . | nindent 6 | trim }}
      labelSelector:
        matchLabels:
          {{- include "classify-worker.selectorLabels" $ | nindent 10 }}
      {{- if eq $.Values.workload "Deployment" }}
      # The new pods of an update are spread among themselves, not around those that they replace.
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
  {{- end }}
  {{- if or .Values.model.pullFirst .Values.extraInitContainers }}
  initContainers:
    {{- if .Values.model.pullFirst }}
    - name: model
      {{- include "classify-worker.container" . | nindent 6 }}
      args: [models, pull, {{ .Values.config.model | quote }}]
      env:
        {{- include "classify-worker.environment" . | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        {{- include "classify-worker.mounts" . | nindent 8 }}
    {{- end }}
    {{- with .Values.extraInitContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: worker
      {{- include "classify-worker.container" . | nindent 6 }}
      # The image's entry point starts what `classify-worker` does here, as process 1's child.
      args: [run]
      env:
        {{- include "classify-worker.environment" . | nindent 8 }}
      ports:
        - name: http
          containerPort: {{ include "classify-worker.httpPort" . }}
          protocol: TCP
        {{- with include "classify-worker.metricsPort" . }}
        - name: metrics
          containerPort: {{ . }}
          protocol: TCP
        {{- end }}
      startupProbe:
        httpGet:
          path: /livez
          port: {{ include "classify-worker.probePort" . }}
          {{- if include "classify-worker.secure" . }}
          scheme: HTTPS
          {{- end }}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet:
          path: /livez
          port: {{ include "classify-worker.probePort" . }}
          {{- if include "classify-worker.secure" . }}
          scheme: HTTPS
          {{- end }}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: {{ include "classify-worker.probePort" . }}
          {{- if include "classify-worker.secure" . }}
          scheme: HTTPS
          {{- end }}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      {{- if ne (include "classify-worker.preStop" .) "0" }}
      lifecycle:
        preStop:
          # Until the Service has taken the pod out.
          sleep:
            seconds: {{ include "classify-worker.preStop" . }}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        {{- include "classify-worker.mounts" . | nindent 8 }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "classify-worker.volumes" . | nindent 4 }}
{{- end }}
