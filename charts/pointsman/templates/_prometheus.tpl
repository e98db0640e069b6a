{{- /* How Prometheus is asked, by the operator and by `helm test` alike: arguments, mounts and volumes. */ -}}
{{- define "pointsman.prometheus.args" -}}
- --prometheus-url={{ .Values.prometheus.url }}
{{- with .Values.prometheus.bearerToken }}
{{- if .secret }}
- --prometheus-token-file=/etc/pointsman/token/{{ .key }}
{{- end }}
{{- end }}
{{- if or .Values.prometheus.headers .Values.prometheus.headersSecret }}
- --prometheus-headers-folder=/etc/pointsman/headers
{{- end }}
{{- with .Values.prometheus.ca }}
{{- if or .secret .configMap }}
- --prometheus-ca-file=/etc/pointsman/authority/{{ .key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pointsman.prometheus.mounts" -}}
{{- if .Values.prometheus.bearerToken.secret }}
- {name: token, mountPath: /etc/pointsman/token, readOnly: true}
{{- end }}
{{- if or .Values.prometheus.headers .Values.prometheus.headersSecret }}
- {name: headers, mountPath: /etc/pointsman/headers, readOnly: true}
{{- end }}
{{- if or .Values.prometheus.ca.secret .Values.prometheus.ca.configMap }}
- {name: authority, mountPath: /etc/pointsman/authority, readOnly: true}
{{- end }}
{{- end }}

{{- define "pointsman.prometheus.volumes" -}}
{{- with .Values.prometheus.bearerToken }}
{{- if .secret }}
- name: token
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key }}, path: {{ .key }}}]}
{{- end }}
{{- end }}
{{- if or .Values.prometheus.headers .Values.prometheus.headersSecret }}
- name: headers
  projected:
    sources:
      {{- if .Values.prometheus.headers }}
      - configMap: {name: {{ include "pointsman.name" . }}-prometheus}
      {{- end }}
      {{- with .Values.prometheus.headersSecret }}
      - secret: {name: {{ . }}}
      {{- end }}
{{- end }}
{{- with .Values.prometheus.ca }}
{{- if and .secret .configMap }}{{ fail "prometheus.ca: write `secret` or `configMap`, not both" }}{{ end }}
{{- if .secret }}
- name: authority
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key }}, path: {{ .key }}}]}
{{- else if .configMap }}
- name: authority
  configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: {{ .key }}}]}
{{- end }}
{{- end }}
{{- end }}
