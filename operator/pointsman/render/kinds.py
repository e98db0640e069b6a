"""The fields of the kinds that Pointsman renders, as far as they are more than plain values; generated, do not edit.

To make it anew, see pointsman.render.generate.
"""

from typing import Final

from pointsman.render.schema import Field

KINDS: Final[dict[str, dict[str, Field]]] = {
    "Affinity": {
        "nodeAffinity": Field("object", "NodeAffinity"),
        "podAffinity": Field("object", "PodAffinity"),
        "podAntiAffinity": Field("object", "PodAntiAffinity"),
    },
    "CSIVolumeSource": {
        "nodePublishSecretRef": Field("object", "LocalObjectReference"),
        "volumeAttributes": Field("map"),
    },
    "Capabilities": {
        "add": Field("list"),
        "drop": Field("list"),
    },
    "CephFSVolumeSource": {
        "monitors": Field("list"),
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "CinderVolumeSource": {
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "ClusterTrustBundleProjection": {
        "labelSelector": Field("object", "LabelSelector"),
    },
    "ConfigMapProjection": {
        "items": Field("list", "KeyToPath"),
    },
    "ConfigMapVolumeSource": {
        "items": Field("list", "KeyToPath"),
    },
    "Container": {
        "args": Field("list"),
        "command": Field("list"),
        "env": Field("list", "EnvVar", ("name",)),
        "envFrom": Field("list", "EnvFromSource"),
        "lifecycle": Field("object", "Lifecycle"),
        "livenessProbe": Field("object", "Probe"),
        "ports": Field("list", "ContainerPort", ("containerPort", "protocol")),
        "readinessProbe": Field("object", "Probe"),
        "resizePolicy": Field("list", "ContainerResizePolicy"),
        "resources": Field("object", "ResourceRequirements"),
        "restartPolicyRules": Field("list", "ContainerRestartRule"),
        "securityContext": Field("object", "SecurityContext"),
        "startupProbe": Field("object", "Probe"),
        "volumeDevices": Field("list", "VolumeDevice", ("devicePath",)),
        "volumeMounts": Field("list", "VolumeMount", ("mountPath",)),
    },
    "ContainerResourceMetricSource": {
        "target": Field("object", "MetricTarget"),
    },
    "ContainerRestartRule": {
        "exitCodes": Field("object", "ContainerRestartRuleOnExitCodes"),
    },
    "ContainerRestartRuleOnExitCodes": {
        "values": Field("list"),
    },
    "Deployment": {
        "metadata": Field("object", "ObjectMeta"),
        "spec": Field("object", "DeploymentSpec"),
    },
    "DeploymentSpec": {
        "selector": Field("object", "LabelSelector"),
        "strategy": Field("object", "DeploymentStrategy"),
        "template": Field("object", "PodTemplateSpec"),
    },
    "DeploymentStrategy": {
        "rollingUpdate": Field("object", "RollingUpdateDeployment"),
    },
    "DownwardAPIProjection": {
        "items": Field("list", "DownwardAPIVolumeFile"),
    },
    "DownwardAPIVolumeFile": {
        "fieldRef": Field("object", "ObjectFieldSelector"),
        "resourceFieldRef": Field("object", "ResourceFieldSelector"),
    },
    "DownwardAPIVolumeSource": {
        "items": Field("list", "DownwardAPIVolumeFile"),
    },
    "EmptyDirVolumeSource": {
        "sizeLimit": Field("quantity"),
    },
    "EnvFromSource": {
        "configMapRef": Field("object", "ConfigMapEnvSource"),
        "secretRef": Field("object", "SecretEnvSource"),
    },
    "EnvVar": {
        "valueFrom": Field("object", "EnvVarSource"),
    },
    "EnvVarSource": {
        "configMapKeyRef": Field("object", "ConfigMapKeySelector"),
        "fieldRef": Field("object", "ObjectFieldSelector"),
        "fileKeyRef": Field("object", "FileKeySelector"),
        "resourceFieldRef": Field("object", "ResourceFieldSelector"),
        "secretKeyRef": Field("object", "SecretKeySelector"),
    },
    "EphemeralContainer": {
        "args": Field("list"),
        "command": Field("list"),
        "env": Field("list", "EnvVar", ("name",)),
        "envFrom": Field("list", "EnvFromSource"),
        "lifecycle": Field("object", "Lifecycle"),
        "livenessProbe": Field("object", "Probe"),
        "ports": Field("list", "ContainerPort", ("containerPort", "protocol")),
        "readinessProbe": Field("object", "Probe"),
        "resizePolicy": Field("list", "ContainerResizePolicy"),
        "resources": Field("object", "ResourceRequirements"),
        "restartPolicyRules": Field("list", "ContainerRestartRule"),
        "securityContext": Field("object", "SecurityContext"),
        "startupProbe": Field("object", "Probe"),
        "volumeDevices": Field("list", "VolumeDevice", ("devicePath",)),
        "volumeMounts": Field("list", "VolumeMount", ("mountPath",)),
    },
    "EphemeralVolumeSource": {
        "volumeClaimTemplate": Field("object", "PersistentVolumeClaimTemplate"),
    },
    "ExecAction": {
        "command": Field("list"),
    },
    "ExternalMetricSource": {
        "metric": Field("object", "MetricIdentifier"),
        "target": Field("object", "MetricTarget"),
    },
    "FCVolumeSource": {
        "targetWWNs": Field("list"),
        "wwids": Field("list"),
    },
    "FlexVolumeSource": {
        "options": Field("map"),
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "HPAScalingRules": {
        "policies": Field("list", "HPAScalingPolicy"),
        "tolerance": Field("quantity"),
    },
    "HTTPGetAction": {
        "httpHeaders": Field("list", "HTTPHeader"),
    },
    "HorizontalPodAutoscaler": {
        "metadata": Field("object", "ObjectMeta"),
        "spec": Field("object", "HorizontalPodAutoscalerSpec"),
    },
    "HorizontalPodAutoscalerBehavior": {
        "scaleDown": Field("object", "HPAScalingRules"),
        "scaleUp": Field("object", "HPAScalingRules"),
    },
    "HorizontalPodAutoscalerSpec": {
        "behavior": Field("object", "HorizontalPodAutoscalerBehavior"),
        "metrics": Field("list", "MetricSpec"),
        "scaleTargetRef": Field("object", "CrossVersionObjectReference"),
    },
    "HostAlias": {
        "hostnames": Field("list"),
    },
    "ISCSIVolumeSource": {
        "portals": Field("list"),
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "LabelSelector": {
        "matchExpressions": Field("list", "LabelSelectorRequirement"),
        "matchLabels": Field("map"),
    },
    "LabelSelectorRequirement": {
        "values": Field("list"),
    },
    "Lifecycle": {
        "postStart": Field("object", "LifecycleHandler"),
        "preStop": Field("object", "LifecycleHandler"),
    },
    "LifecycleHandler": {
        "exec": Field("object", "ExecAction"),
        "httpGet": Field("object", "HTTPGetAction"),
        "sleep": Field("object", "SleepAction"),
        "tcpSocket": Field("object", "TCPSocketAction"),
    },
    "MetricIdentifier": {
        "selector": Field("object", "LabelSelector"),
    },
    "MetricSpec": {
        "containerResource": Field("object", "ContainerResourceMetricSource"),
        "external": Field("object", "ExternalMetricSource"),
        "object": Field("object", "ObjectMetricSource"),
        "pods": Field("object", "PodsMetricSource"),
        "resource": Field("object", "ResourceMetricSource"),
    },
    "MetricTarget": {
        "averageValue": Field("quantity"),
        "value": Field("quantity"),
    },
    "NodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": Field("list", "PreferredSchedulingTerm"),
        "requiredDuringSchedulingIgnoredDuringExecution": Field("object", "NodeSelector"),
    },
    "NodeSelector": {
        "nodeSelectorTerms": Field("list", "NodeSelectorTerm"),
    },
    "NodeSelectorRequirement": {
        "values": Field("list"),
    },
    "NodeSelectorTerm": {
        "matchExpressions": Field("list", "NodeSelectorRequirement"),
        "matchFields": Field("list", "NodeSelectorRequirement"),
    },
    "ObjectMeta": {
        "annotations": Field("map"),
        "finalizers": Field("list"),
        "labels": Field("map"),
        "managedFields": Field("list", "ManagedFieldsEntry"),
        "ownerReferences": Field("list", "OwnerReference", ("uid",)),
    },
    "ObjectMetricSource": {
        "describedObject": Field("object", "CrossVersionObjectReference"),
        "metric": Field("object", "MetricIdentifier"),
        "target": Field("object", "MetricTarget"),
    },
    "PersistentVolumeClaimSpec": {
        "accessModes": Field("list"),
        "dataSource": Field("object", "TypedLocalObjectReference"),
        "dataSourceRef": Field("object", "TypedObjectReference"),
        "resources": Field("object", "VolumeResourceRequirements"),
        "selector": Field("object", "LabelSelector"),
    },
    "PersistentVolumeClaimTemplate": {
        "metadata": Field("object", "ObjectMeta"),
        "spec": Field("object", "PersistentVolumeClaimSpec"),
    },
    "PodAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": Field("list", "WeightedPodAffinityTerm"),
        "requiredDuringSchedulingIgnoredDuringExecution": Field("list", "PodAffinityTerm"),
    },
    "PodAffinityTerm": {
        "labelSelector": Field("object", "LabelSelector"),
        "matchLabelKeys": Field("list"),
        "mismatchLabelKeys": Field("list"),
        "namespaceSelector": Field("object", "LabelSelector"),
        "namespaces": Field("list"),
    },
    "PodAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": Field("list", "WeightedPodAffinityTerm"),
        "requiredDuringSchedulingIgnoredDuringExecution": Field("list", "PodAffinityTerm"),
    },
    "PodCertificateProjection": {
        "userAnnotations": Field("map"),
    },
    "PodDNSConfig": {
        "nameservers": Field("list"),
        "options": Field("list", "PodDNSConfigOption"),
        "searches": Field("list"),
    },
    "PodSecurityContext": {
        "appArmorProfile": Field("object", "AppArmorProfile"),
        "seLinuxOptions": Field("object", "SELinuxOptions"),
        "seccompProfile": Field("object", "SeccompProfile"),
        "supplementalGroups": Field("list"),
        "sysctls": Field("list", "Sysctl"),
        "windowsOptions": Field("object", "WindowsSecurityContextOptions"),
    },
    "PodSpec": {
        "affinity": Field("object", "Affinity"),
        "containers": Field("list", "Container", ("name",)),
        "dnsConfig": Field("object", "PodDNSConfig"),
        "ephemeralContainers": Field("list", "EphemeralContainer", ("name",)),
        "hostAliases": Field("list", "HostAlias", ("ip",)),
        "imagePullSecrets": Field("list", "LocalObjectReference", ("name",)),
        "initContainers": Field("list", "Container", ("name",)),
        "nodeSelector": Field("map", atomic=True),
        "os": Field("object", "PodOS"),
        "overhead": Field("map", "quantity"),
        "readinessGates": Field("list", "PodReadinessGate"),
        "resourceClaims": Field("list", of="PodResourceClaim", keys=("name",), keep="given"),
        "resources": Field("object", "ResourceRequirements"),
        "schedulingGates": Field("list", "PodSchedulingGate", ("name",)),
        "schedulingGroup": Field("object", "PodSchedulingGroup"),
        "securityContext": Field("object", "PodSecurityContext"),
        "tolerations": Field("list", "Toleration"),
        "topologySpreadConstraints": Field("list", "TopologySpreadConstraint", ("topologyKey", "whenUnsatisfiable")),
        "volumes": Field("list", of="Volume", keys=("name",), keep="given"),
    },
    "PodTemplateSpec": {
        "metadata": Field("object", "ObjectMeta"),
        "spec": Field("object", "PodSpec"),
    },
    "PodsMetricSource": {
        "metric": Field("object", "MetricIdentifier"),
        "target": Field("object", "MetricTarget"),
    },
    "PreferredSchedulingTerm": {
        "preference": Field("object", "NodeSelectorTerm"),
    },
    "Probe": {
        "exec": Field("object", "ExecAction"),
        "grpc": Field("object", "GRPCAction"),
        "httpGet": Field("object", "HTTPGetAction"),
        "tcpSocket": Field("object", "TCPSocketAction"),
    },
    "ProjectedVolumeSource": {
        "sources": Field("list", "VolumeProjection"),
    },
    "RBDVolumeSource": {
        "monitors": Field("list"),
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "ResourceFieldSelector": {
        "divisor": Field("quantity"),
    },
    "ResourceMetricSource": {
        "target": Field("object", "MetricTarget"),
    },
    "ResourceRequirements": {
        "claims": Field("list", "ResourceClaim", ("name",)),
        "limits": Field("map", "quantity"),
        "requests": Field("map", "quantity"),
    },
    "ScaleIOVolumeSource": {
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "SecretProjection": {
        "items": Field("list", "KeyToPath"),
    },
    "SecretVolumeSource": {
        "items": Field("list", "KeyToPath"),
    },
    "SecurityContext": {
        "appArmorProfile": Field("object", "AppArmorProfile"),
        "capabilities": Field("object", "Capabilities"),
        "seLinuxOptions": Field("object", "SELinuxOptions"),
        "seccompProfile": Field("object", "SeccompProfile"),
        "windowsOptions": Field("object", "WindowsSecurityContextOptions"),
    },
    "Service": {
        "metadata": Field("object", "ObjectMeta"),
        "spec": Field("object", "ServiceSpec"),
    },
    "ServiceSpec": {
        "clusterIPs": Field("list"),
        "externalIPs": Field("list"),
        "ipFamilies": Field("list"),
        "loadBalancerSourceRanges": Field("list"),
        "ports": Field("list", "ServicePort", ("port", "protocol")),
        "selector": Field("map", atomic=True),
        "sessionAffinityConfig": Field("object", "SessionAffinityConfig"),
    },
    "SessionAffinityConfig": {
        "clientIP": Field("object", "ClientIPConfig"),
    },
    "StorageOSVolumeSource": {
        "secretRef": Field("object", "LocalObjectReference"),
    },
    "TopologySpreadConstraint": {
        "labelSelector": Field("object", "LabelSelector"),
        "matchLabelKeys": Field("list"),
    },
    "Volume": {
        "awsElasticBlockStore": Field("object", "AWSElasticBlockStoreVolumeSource"),
        "azureDisk": Field("object", "AzureDiskVolumeSource"),
        "azureFile": Field("object", "AzureFileVolumeSource"),
        "cephfs": Field("object", "CephFSVolumeSource"),
        "cinder": Field("object", "CinderVolumeSource"),
        "configMap": Field("object", "ConfigMapVolumeSource"),
        "csi": Field("object", "CSIVolumeSource"),
        "downwardAPI": Field("object", "DownwardAPIVolumeSource"),
        "emptyDir": Field("object", "EmptyDirVolumeSource"),
        "ephemeral": Field("object", "EphemeralVolumeSource"),
        "fc": Field("object", "FCVolumeSource"),
        "flexVolume": Field("object", "FlexVolumeSource"),
        "flocker": Field("object", "FlockerVolumeSource"),
        "gcePersistentDisk": Field("object", "GCEPersistentDiskVolumeSource"),
        "gitRepo": Field("object", "GitRepoVolumeSource"),
        "glusterfs": Field("object", "GlusterfsVolumeSource"),
        "hostPath": Field("object", "HostPathVolumeSource"),
        "image": Field("object", "ImageVolumeSource"),
        "iscsi": Field("object", "ISCSIVolumeSource"),
        "nfs": Field("object", "NFSVolumeSource"),
        "persistentVolumeClaim": Field("object", "PersistentVolumeClaimVolumeSource"),
        "photonPersistentDisk": Field("object", "PhotonPersistentDiskVolumeSource"),
        "portworxVolume": Field("object", "PortworxVolumeSource"),
        "projected": Field("object", "ProjectedVolumeSource"),
        "quobyte": Field("object", "QuobyteVolumeSource"),
        "rbd": Field("object", "RBDVolumeSource"),
        "scaleIO": Field("object", "ScaleIOVolumeSource"),
        "secret": Field("object", "SecretVolumeSource"),
        "storageos": Field("object", "StorageOSVolumeSource"),
        "vsphereVolume": Field("object", "VsphereVirtualDiskVolumeSource"),
    },
    "VolumeProjection": {
        "clusterTrustBundle": Field("object", "ClusterTrustBundleProjection"),
        "configMap": Field("object", "ConfigMapProjection"),
        "downwardAPI": Field("object", "DownwardAPIProjection"),
        "podCertificate": Field("object", "PodCertificateProjection"),
        "secret": Field("object", "SecretProjection"),
        "serviceAccountToken": Field("object", "ServiceAccountTokenProjection"),
    },
    "VolumeResourceRequirements": {
        "limits": Field("map", "quantity"),
        "requests": Field("map", "quantity"),
    },
    "WeightedPodAffinityTerm": {
        "podAffinityTerm": Field("object", "PodAffinityTerm"),
    },
}
