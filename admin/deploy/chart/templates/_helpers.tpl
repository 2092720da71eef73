{{- define "matrixfs.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- /* What selects the pods of a component: it never changes. (dict "root" $ "part" "hub") */ -}}
{{- define "matrixfs.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "matrixfs.labels" -}}
{{ include "matrixfs.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "matrixfs.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "matrixfs.peersName" -}}
{{ include "matrixfs.name" . }}-peers.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{- /* Arguments of both programs for peers. */ -}}
{{- define "matrixfs.peerArgs" -}}
- --peer-listen=0.0.0.0:{{ .Values.peers.port }}
- --peer-address=$(POD_IP):{{ .Values.peers.port }}
- --peers=dns:{{ include "matrixfs.peersName" . }}:{{ .Values.peers.port }}
- --cluster-key-file=/etc/matrixfs/peers/cluster.key
{{- end -}}

{{- define "matrixfs.pullSecrets" -}}
imagePullSecrets:
  {{- range .Values.image.pullSecrets }}
  - name: {{ . }}
  {{- end }}
{{- end -}}

{{- define "matrixfs.podIp" -}}
- name: POD_IP
  valueFrom:
    fieldRef: { fieldPath: status.podIP }
{{- end -}}
