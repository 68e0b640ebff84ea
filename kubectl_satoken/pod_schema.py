"""The Kubernetes types of pods and workloads, as both encodings of the API have them.

Written by tests/pod_schema.py from the Go types of k8s.io/api and k8s.io/apimachinery.
"""

# TYPE: NUMBER NAME KIND; ...
# NUMBER is the field's in protobuf, NAME the one in JSON. KIND is another type, or s (string),
# i (integer), b (boolean), B (bytes), m:KIND (map of strings to that), * a list of it. ?: JSON
# leaves it out when it is empty; !: JSON writes null for it when it is not there; <: the fields of
# the type belong to this one.
TYPES = """\
Pod: 1 metadata ObjectMeta; 2 spec PodSpec; 3 status PodStatus
ObjectMeta: 1 name s?; 2 generateName s?; 3 namespace s?; 5 uid s?; 6 resourceVersion s?; 7
  generation i?; 8 creationTimestamp Time?; 9 deletionTimestamp Time; 10 deletionGracePeriodSeconds
  i; 11 labels m:s; 12 annotations m:s; 13 ownerReferences *OwnerReference; 14 finalizers *s; 17
  managedFields *ManagedFieldsEntry
OwnerReference: 5 apiVersion s; 1 kind s; 3 name s; 4 uid s; 6 controller b; 7 blockOwnerDeletion b
ManagedFieldsEntry: 1 manager s?; 2 operation s?; 3 apiVersion s?; 4 time Time; 6 fieldsType s?; 7
  fieldsV1 FieldsV1; 8 subresource s?
PodSpec: 1 volumes *Volume; 20 initContainers *Container; 2 containers *Container!; 34
  ephemeralContainers *EphemeralContainer; 3 restartPolicy s?; 4 terminationGracePeriodSeconds i; 5
  activeDeadlineSeconds i; 6 dnsPolicy s?; 7 nodeSelector m:s; 8 serviceAccountName s?; 9
  serviceAccount s?; 21 automountServiceAccountToken b; 10 nodeName s?; 11 hostNetwork b?; 12
  hostPID b?; 13 hostIPC b?; 27 shareProcessNamespace b; 14 securityContext PodSecurityContext; 15
  imagePullSecrets *LocalObjectReference; 16 hostname s?; 17 subdomain s?; 18 affinity Affinity; 19
  schedulerName s?; 22 tolerations *Toleration; 23 hostAliases *HostAlias; 24 priorityClassName s?;
  25 priority i; 26 dnsConfig PodDNSConfig; 28 readinessGates *PodReadinessGate; 29
  runtimeClassName s; 30 enableServiceLinks b; 31 preemptionPolicy s; 32 overhead m:Quantity; 33
  topologySpreadConstraints *TopologySpreadConstraint; 35 setHostnameAsFQDN b; 36 os PodOS; 37
  hostUsers b; 38 schedulingGates *PodSchedulingGate; 39 resourceClaims *PodResourceClaim; 40
  resources ResourceRequirements; 41 hostnameOverride s; 43 schedulingGroup PodSchedulingGroup
Volume: 1 name s; 2 < VolumeSource
VolumeSource: 1 hostPath HostPathVolumeSource; 2 emptyDir EmptyDirVolumeSource; 3 gcePersistentDisk
  GCEPersistentDiskVolumeSource; 4 awsElasticBlockStore AWSElasticBlockStoreVolumeSource; 5 gitRepo
  GitRepoVolumeSource; 6 secret SecretVolumeSource; 7 nfs NFSVolumeSource; 8 iscsi
  ISCSIVolumeSource; 9 glusterfs GlusterfsVolumeSource; 10 persistentVolumeClaim
  PersistentVolumeClaimVolumeSource; 11 rbd RBDVolumeSource; 12 flexVolume FlexVolumeSource; 13
  cinder CinderVolumeSource; 14 cephfs CephFSVolumeSource; 15 flocker FlockerVolumeSource; 16
  downwardAPI DownwardAPIVolumeSource; 17 fc FCVolumeSource; 18 azureFile AzureFileVolumeSource; 19
  configMap ConfigMapVolumeSource; 20 vsphereVolume VsphereVirtualDiskVolumeSource; 21 quobyte
  QuobyteVolumeSource; 22 azureDisk AzureDiskVolumeSource; 23 photonPersistentDisk
  PhotonPersistentDiskVolumeSource; 26 projected ProjectedVolumeSource; 24 portworxVolume
  PortworxVolumeSource; 25 scaleIO ScaleIOVolumeSource; 27 storageos StorageOSVolumeSource; 28 csi
  CSIVolumeSource; 29 ephemeral EphemeralVolumeSource; 30 image ImageVolumeSource
HostPathVolumeSource: 1 path s; 2 type s
EmptyDirVolumeSource: 1 medium s?; 2 sizeLimit Quantity
GCEPersistentDiskVolumeSource: 1 pdName s; 2 fsType s?; 3 partition i?; 4 readOnly b?
AWSElasticBlockStoreVolumeSource: 1 volumeID s; 2 fsType s?; 3 partition i?; 4 readOnly b?
GitRepoVolumeSource: 1 repository s; 2 revision s?; 3 directory s?
SecretVolumeSource: 1 secretName s?; 2 items *KeyToPath; 3 defaultMode i; 4 optional b
KeyToPath: 1 key s; 2 path s; 3 mode i
NFSVolumeSource: 1 server s; 2 path s; 3 readOnly b?
ISCSIVolumeSource: 1 targetPortal s; 2 iqn s; 3 lun i; 4 iscsiInterface s?; 5 fsType s?; 6 readOnly
  b?; 7 portals *s; 8 chapAuthDiscovery b?; 11 chapAuthSession b?; 10 secretRef
  LocalObjectReference; 12 initiatorName s
LocalObjectReference: 1 name s?
GlusterfsVolumeSource: 1 endpoints s; 2 path s; 3 readOnly b?
PersistentVolumeClaimVolumeSource: 1 claimName s; 2 readOnly b?
RBDVolumeSource: 1 monitors *s!; 2 image s; 3 fsType s?; 4 pool s?; 5 user s?; 6 keyring s?; 7
  secretRef LocalObjectReference; 8 readOnly b?
FlexVolumeSource: 1 driver s; 2 fsType s?; 3 secretRef LocalObjectReference; 4 readOnly b?; 5
  options m:s
CinderVolumeSource: 1 volumeID s; 2 fsType s?; 3 readOnly b?; 4 secretRef LocalObjectReference
CephFSVolumeSource: 1 monitors *s!; 2 path s?; 3 user s?; 4 secretFile s?; 5 secretRef
  LocalObjectReference; 6 readOnly b?
FlockerVolumeSource: 1 datasetName s?; 2 datasetUUID s?
DownwardAPIVolumeSource: 1 items *DownwardAPIVolumeFile; 2 defaultMode i
DownwardAPIVolumeFile: 1 path s; 2 fieldRef ObjectFieldSelector; 3 resourceFieldRef
  ResourceFieldSelector; 4 mode i
ObjectFieldSelector: 1 apiVersion s?; 2 fieldPath s
ResourceFieldSelector: 1 containerName s?; 2 resource s; 3 divisor Quantity
FCVolumeSource: 1 targetWWNs *s; 2 lun i; 3 fsType s?; 4 readOnly b?; 5 wwids *s
AzureFileVolumeSource: 1 secretName s; 2 shareName s; 3 readOnly b?
ConfigMapVolumeSource: 1 < LocalObjectReference; 2 items *KeyToPath; 3 defaultMode i; 4 optional b
VsphereVirtualDiskVolumeSource: 1 volumePath s; 2 fsType s?; 3 storagePolicyName s?; 4
  storagePolicyID s?
QuobyteVolumeSource: 1 registry s; 2 volume s; 3 readOnly b?; 4 user s?; 5 group s?; 6 tenant s?
AzureDiskVolumeSource: 1 diskName s; 2 diskURI s; 3 cachingMode s; 4 fsType s; 5 readOnly b; 6 kind
  s
PhotonPersistentDiskVolumeSource: 1 pdID s; 2 fsType s?
ProjectedVolumeSource: 1 sources *VolumeProjection!; 2 defaultMode i
VolumeProjection: 1 secret SecretProjection; 2 downwardAPI DownwardAPIProjection; 3 configMap
  ConfigMapProjection; 4 serviceAccountToken ServiceAccountTokenProjection; 5 clusterTrustBundle
  ClusterTrustBundleProjection; 6 podCertificate PodCertificateProjection
SecretProjection: 1 < LocalObjectReference; 2 items *KeyToPath; 4 optional b
DownwardAPIProjection: 1 items *DownwardAPIVolumeFile
ConfigMapProjection: 1 < LocalObjectReference; 2 items *KeyToPath; 4 optional b
ServiceAccountTokenProjection: 1 audience s?; 2 expirationSeconds i; 3 path s
ClusterTrustBundleProjection: 1 name s; 2 signerName s; 3 labelSelector LabelSelector; 5 optional
  b; 4 path s
LabelSelector: 1 matchLabels m:s; 2 matchExpressions *LabelSelectorRequirement
LabelSelectorRequirement: 1 key s; 2 operator s; 3 values *s
PodCertificateProjection: 1 signerName s?; 2 keyType s?; 3 maxExpirationSeconds i; 4
  credentialBundlePath s?; 5 keyPath s?; 6 certificateChainPath s?; 7 userAnnotations m:s
PortworxVolumeSource: 1 volumeID s; 2 fsType s?; 3 readOnly b?
ScaleIOVolumeSource: 1 gateway s; 2 system s; 3 secretRef LocalObjectReference; 4 sslEnabled b?; 5
  protectionDomain s?; 6 storagePool s?; 7 storageMode s?; 8 volumeName s?; 9 fsType s?; 10
  readOnly b?
StorageOSVolumeSource: 1 volumeName s?; 2 volumeNamespace s?; 3 fsType s?; 4 readOnly b?; 5
  secretRef LocalObjectReference
CSIVolumeSource: 1 driver s; 2 readOnly b; 3 fsType s; 4 volumeAttributes m:s; 5
  nodePublishSecretRef LocalObjectReference
EphemeralVolumeSource: 1 volumeClaimTemplate PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate: 1 metadata ObjectMeta; 2 spec PersistentVolumeClaimSpec
PersistentVolumeClaimSpec: 1 accessModes *s; 4 selector LabelSelector; 2 resources
  VolumeResourceRequirements; 3 volumeName s?; 5 storageClassName s; 6 volumeMode s; 7 dataSource
  TypedLocalObjectReference; 8 dataSourceRef TypedObjectReference; 9 volumeAttributesClassName s
VolumeResourceRequirements: 1 limits m:Quantity; 2 requests m:Quantity
TypedLocalObjectReference: 1 apiGroup s; 2 kind s; 3 name s
TypedObjectReference: 1 apiGroup s; 2 kind s; 3 name s; 4 namespace s
ImageVolumeSource: 1 reference s?; 2 pullPolicy s?
Container: 1 name s; 2 image s?; 3 command *s; 4 args *s; 5 workingDir s?; 6 ports *ContainerPort;
  19 envFrom *EnvFromSource; 7 env *EnvVar; 8 resources ResourceRequirements; 23 resizePolicy
  *ContainerResizePolicy; 24 restartPolicy s; 25 restartPolicyRules *ContainerRestartRule; 9
  volumeMounts *VolumeMount; 21 volumeDevices *VolumeDevice; 10 livenessProbe Probe; 11
  readinessProbe Probe; 22 startupProbe Probe; 12 lifecycle Lifecycle; 13 terminationMessagePath
  s?; 20 terminationMessagePolicy s?; 14 imagePullPolicy s?; 15 securityContext SecurityContext; 16
  stdin b?; 17 stdinOnce b?; 18 tty b?
ContainerPort: 1 name s?; 2 hostPort i?; 3 containerPort i; 4 protocol s?; 5 hostIP s?
EnvFromSource: 1 prefix s?; 2 configMapRef ConfigMapEnvSource; 3 secretRef SecretEnvSource
ConfigMapEnvSource: 1 < LocalObjectReference; 2 optional b
SecretEnvSource: 1 < LocalObjectReference; 2 optional b
EnvVar: 1 name s; 2 value s?; 3 valueFrom EnvVarSource
EnvVarSource: 1 fieldRef ObjectFieldSelector; 2 resourceFieldRef ResourceFieldSelector; 3
  configMapKeyRef ConfigMapKeySelector; 4 secretKeyRef SecretKeySelector; 5 fileKeyRef
  FileKeySelector
ConfigMapKeySelector: 1 < LocalObjectReference; 2 key s; 3 optional b
SecretKeySelector: 1 < LocalObjectReference; 2 key s; 3 optional b
FileKeySelector: 1 volumeName s; 2 path s; 3 key s; 4 optional b
ResourceRequirements: 1 limits m:Quantity; 2 requests m:Quantity; 3 claims *ResourceClaim
ResourceClaim: 1 name s; 2 request s?
ContainerResizePolicy: 1 resourceName s; 2 restartPolicy s
ContainerRestartRule: 1 action s?; 2 exitCodes ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes: 1 operator s?; 2 values *i
VolumeMount: 1 name s; 2 readOnly b?; 7 recursiveReadOnly s; 3 mountPath s; 4 subPath s?; 5
  mountPropagation s; 6 subPathExpr s?
VolumeDevice: 1 name s; 2 devicePath s
Probe: 1 < ProbeHandler; 2 initialDelaySeconds i?; 3 timeoutSeconds i?; 4 periodSeconds i?; 5
  successThreshold i?; 6 failureThreshold i?; 7 terminationGracePeriodSeconds i
ProbeHandler: 1 exec ExecAction; 2 httpGet HTTPGetAction; 3 tcpSocket TCPSocketAction; 4 grpc
  GRPCAction
ExecAction: 1 command *s
HTTPGetAction: 1 path s?; 2 port IntOrString; 3 host s?; 4 scheme s?; 5 httpHeaders *HTTPHeader
HTTPHeader: 1 name s; 2 value s
TCPSocketAction: 1 port IntOrString; 2 host s?
GRPCAction: 1 port i; 2 service s
Lifecycle: 1 postStart LifecycleHandler; 2 preStop LifecycleHandler; 3 stopSignal s
LifecycleHandler: 1 exec ExecAction; 2 httpGet HTTPGetAction; 3 tcpSocket TCPSocketAction; 4 sleep
  SleepAction
SleepAction: 1 seconds i
SecurityContext: 1 capabilities Capabilities; 2 privileged b; 3 seLinuxOptions SELinuxOptions; 10
  windowsOptions WindowsSecurityContextOptions; 4 runAsUser i; 8 runAsGroup i; 5 runAsNonRoot b; 6
  readOnlyRootFilesystem b; 7 allowPrivilegeEscalation b; 9 procMount s; 11 seccompProfile
  SeccompProfile; 12 appArmorProfile AppArmorProfile
Capabilities: 1 add *s; 2 drop *s
SELinuxOptions: 1 user s?; 2 role s?; 3 type s?; 4 level s?
WindowsSecurityContextOptions: 1 gmsaCredentialSpecName s; 2 gmsaCredentialSpec s; 3 runAsUserName
  s; 4 hostProcess b
SeccompProfile: 1 type s; 2 localhostProfile s
AppArmorProfile: 1 type s; 2 localhostProfile s
EphemeralContainer: 1 < EphemeralContainerCommon; 2 targetContainerName s?
EphemeralContainerCommon: 1 name s; 2 image s?; 3 command *s; 4 args *s; 5 workingDir s?; 6 ports
  *ContainerPort; 19 envFrom *EnvFromSource; 7 env *EnvVar; 8 resources ResourceRequirements; 23
  resizePolicy *ContainerResizePolicy; 24 restartPolicy s; 25 restartPolicyRules
  *ContainerRestartRule; 9 volumeMounts *VolumeMount; 21 volumeDevices *VolumeDevice; 10
  livenessProbe Probe; 11 readinessProbe Probe; 22 startupProbe Probe; 12 lifecycle Lifecycle; 13
  terminationMessagePath s?; 20 terminationMessagePolicy s?; 14 imagePullPolicy s?; 15
  securityContext SecurityContext; 16 stdin b?; 17 stdinOnce b?; 18 tty b?
PodSecurityContext: 1 seLinuxOptions SELinuxOptions; 8 windowsOptions
  WindowsSecurityContextOptions; 2 runAsUser i; 6 runAsGroup i; 3 runAsNonRoot b; 4
  supplementalGroups *i; 12 supplementalGroupsPolicy s; 5 fsGroup i; 7 sysctls *Sysctl; 9
  fsGroupChangePolicy s; 10 seccompProfile SeccompProfile; 11 appArmorProfile AppArmorProfile; 13
  seLinuxChangePolicy s
Sysctl: 1 name s; 2 value s
Affinity: 1 nodeAffinity NodeAffinity; 2 podAffinity PodAffinity; 3 podAntiAffinity PodAntiAffinity
NodeAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution NodeSelector; 2
  preferredDuringSchedulingIgnoredDuringExecution *PreferredSchedulingTerm
NodeSelector: 1 nodeSelectorTerms *NodeSelectorTerm!
NodeSelectorTerm: 1 matchExpressions *NodeSelectorRequirement; 2 matchFields
  *NodeSelectorRequirement
NodeSelectorRequirement: 1 key s; 2 operator s; 3 values *s
PreferredSchedulingTerm: 1 weight i; 2 preference NodeSelectorTerm
PodAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution *PodAffinityTerm; 2
  preferredDuringSchedulingIgnoredDuringExecution *WeightedPodAffinityTerm
PodAffinityTerm: 1 labelSelector LabelSelector; 2 namespaces *s; 3 topologyKey s; 4
  namespaceSelector LabelSelector; 5 matchLabelKeys *s; 6 mismatchLabelKeys *s
WeightedPodAffinityTerm: 1 weight i; 2 podAffinityTerm PodAffinityTerm
PodAntiAffinity: 1 requiredDuringSchedulingIgnoredDuringExecution *PodAffinityTerm; 2
  preferredDuringSchedulingIgnoredDuringExecution *WeightedPodAffinityTerm
Toleration: 1 key s?; 2 operator s?; 3 value s?; 4 effect s?; 5 tolerationSeconds i
HostAlias: 1 ip s; 2 hostnames *s
PodDNSConfig: 1 nameservers *s; 2 searches *s; 3 options *PodDNSConfigOption
PodDNSConfigOption: 1 name s?; 2 value s
PodReadinessGate: 1 conditionType s
TopologySpreadConstraint: 1 maxSkew i; 2 topologyKey s; 3 whenUnsatisfiable s; 4 labelSelector
  LabelSelector; 5 minDomains i; 6 nodeAffinityPolicy s; 7 nodeTaintsPolicy s; 8 matchLabelKeys *s
PodOS: 1 name s
PodSchedulingGate: 1 name s
PodResourceClaim: 1 name s; 3 resourceClaimName s; 4 resourceClaimTemplateName s
PodSchedulingGroup: 1 podGroupName s
PodStatus: 17 observedGeneration i?; 1 phase s?; 2 conditions *PodCondition; 3 message s?; 4 reason
  s?; 11 nominatedNodeName s?; 5 hostIP s?; 16 hostIPs *HostIP; 6 podIP s?; 12 podIPs *PodIP; 7
  startTime Time; 10 initContainerStatuses *ContainerStatus; 8 containerStatuses *ContainerStatus;
  9 qosClass s?; 13 ephemeralContainerStatuses *ContainerStatus; 14 resize s?; 15
  resourceClaimStatuses *PodResourceClaimStatus; 18 extendedResourceClaimStatus
  PodExtendedResourceClaimStatus; 19 allocatedResources m:Quantity; 20 resources
  ResourceRequirements; 21 nodeAllocatableResourceClaimStatuses *NodeAllocatableResourceClaimStatus
PodCondition: 1 type s; 7 observedGeneration i?; 2 status s; 3 lastProbeTime Time; 4
  lastTransitionTime Time; 5 reason s?; 6 message s?
HostIP: 1 ip s
PodIP: 1 ip s
ContainerStatus: 1 name s; 2 state ContainerState; 3 lastState ContainerState; 4 ready b; 5
  restartCount i; 6 image s; 7 imageID s; 8 containerID s?; 9 started b; 10 allocatedResources
  m:Quantity; 11 resources ResourceRequirements; 12 volumeMounts *VolumeMountStatus; 13 user
  ContainerUser; 14 allocatedResourcesStatus *ResourceStatus; 15 stopSignal s
ContainerState: 1 waiting ContainerStateWaiting; 2 running ContainerStateRunning; 3 terminated
  ContainerStateTerminated
ContainerStateWaiting: 1 reason s?; 2 message s?
ContainerStateRunning: 1 startedAt Time
ContainerStateTerminated: 1 exitCode i; 2 signal i?; 3 reason s?; 4 message s?; 5 startedAt Time; 6
  finishedAt Time; 7 containerID s?
VolumeMountStatus: 1 name s; 2 mountPath s; 3 readOnly b?; 4 recursiveReadOnly s; 5 volumeStatus
  VolumeStatus
VolumeStatus: 1 image ImageVolumeStatus
ImageVolumeStatus: 1 imageRef s?
ContainerUser: 1 linux LinuxContainerUser
LinuxContainerUser: 1 uid i; 2 gid i; 3 supplementalGroups *i
ResourceStatus: 1 name s; 2 resources *ResourceHealth
ResourceHealth: 1 resourceID s; 2 health s?; 6 message s
PodResourceClaimStatus: 1 name s; 2 resourceClaimName s
PodExtendedResourceClaimStatus: 1 requestMappings *ContainerExtendedResourceRequest!; 2
  resourceClaimName s
ContainerExtendedResourceRequest: 1 containerName s; 2 resourceName s; 3 requestName s
NodeAllocatableResourceClaimStatus: 1 resourceClaimName s; 2 containers *s; 3 resources m:Quantity
Deployment: 1 metadata ObjectMeta; 2 spec DeploymentSpec; 3 status DeploymentStatus
DeploymentSpec: 1 replicas i; 2 selector LabelSelector; 3 template PodTemplateSpec; 4 strategy
  DeploymentStrategy; 5 minReadySeconds i?; 6 revisionHistoryLimit i; 7 paused b?; 9
  progressDeadlineSeconds i
PodTemplateSpec: 1 metadata ObjectMeta; 2 spec PodSpec
DeploymentStrategy: 1 type s?; 2 rollingUpdate RollingUpdateDeployment
RollingUpdateDeployment: 1 maxUnavailable IntOrString; 2 maxSurge IntOrString
DeploymentStatus: 1 observedGeneration i?; 2 replicas i?; 3 updatedReplicas i?; 7 readyReplicas i?;
  4 availableReplicas i?; 5 unavailableReplicas i?; 9 terminatingReplicas i; 6 conditions
  *DeploymentCondition; 8 collisionCount i
DeploymentCondition: 1 type s; 2 status s; 6 lastUpdateTime Time; 7 lastTransitionTime Time; 4
  reason s?; 5 message s?
StatefulSet: 1 metadata ObjectMeta; 2 spec StatefulSetSpec; 3 status StatefulSetStatus
StatefulSetSpec: 1 replicas i; 2 selector LabelSelector; 3 template PodTemplateSpec; 4
  volumeClaimTemplates *PersistentVolumeClaim; 5 serviceName s; 6 podManagementPolicy s?; 7
  updateStrategy StatefulSetUpdateStrategy; 8 revisionHistoryLimit i; 9 minReadySeconds i?; 10
  persistentVolumeClaimRetentionPolicy StatefulSetPersistentVolumeClaimRetentionPolicy; 11 ordinals
  StatefulSetOrdinals
PersistentVolumeClaim: 1 metadata ObjectMeta; 2 spec PersistentVolumeClaimSpec; 3 status
  PersistentVolumeClaimStatus
PersistentVolumeClaimStatus: 1 phase s?; 2 accessModes *s; 3 capacity m:Quantity; 4 conditions
  *PersistentVolumeClaimCondition; 5 allocatedResources m:Quantity; 7 allocatedResourceStatuses
  m:s; 8 currentVolumeAttributesClassName s; 9 modifyVolumeStatus ModifyVolumeStatus
PersistentVolumeClaimCondition: 1 type s; 2 status s; 3 lastProbeTime Time; 4 lastTransitionTime
  Time; 5 reason s?; 6 message s?
ModifyVolumeStatus: 1 targetVolumeAttributesClassName s?; 2 status s
StatefulSetUpdateStrategy: 1 type s?; 2 rollingUpdate RollingUpdateStatefulSetStrategy
RollingUpdateStatefulSetStrategy: 1 partition i; 2 maxUnavailable IntOrString
StatefulSetPersistentVolumeClaimRetentionPolicy: 1 whenDeleted s?; 2 whenScaled s?
StatefulSetOrdinals: 1 start i
StatefulSetStatus: 1 observedGeneration i?; 2 replicas i; 3 readyReplicas i?; 4 currentReplicas i?;
  5 updatedReplicas i?; 6 currentRevision s?; 7 updateRevision s?; 9 collisionCount i; 10
  conditions *StatefulSetCondition; 11 availableReplicas i
StatefulSetCondition: 1 type s; 2 status s; 3 lastTransitionTime Time; 4 reason s?; 5 message s?
DaemonSet: 1 metadata ObjectMeta; 2 spec DaemonSetSpec; 3 status DaemonSetStatus
DaemonSetSpec: 1 selector LabelSelector; 2 template PodTemplateSpec; 3 updateStrategy
  DaemonSetUpdateStrategy; 4 minReadySeconds i?; 6 revisionHistoryLimit i
DaemonSetUpdateStrategy: 1 type s?; 2 rollingUpdate RollingUpdateDaemonSet
RollingUpdateDaemonSet: 1 maxUnavailable IntOrString; 2 maxSurge IntOrString
DaemonSetStatus: 1 currentNumberScheduled i; 2 numberMisscheduled i; 3 desiredNumberScheduled i; 4
  numberReady i; 5 observedGeneration i?; 6 updatedNumberScheduled i?; 7 numberAvailable i?; 8
  numberUnavailable i?; 9 collisionCount i; 10 conditions *DaemonSetCondition
DaemonSetCondition: 1 type s; 2 status s; 3 lastTransitionTime Time; 4 reason s?; 5 message s?
Job: 1 metadata ObjectMeta; 2 spec JobSpec; 3 status JobStatus
JobSpec: 1 parallelism i; 2 completions i; 3 activeDeadlineSeconds i; 11 podFailurePolicy
  PodFailurePolicy; 16 successPolicy SuccessPolicy; 7 backoffLimit i; 12 backoffLimitPerIndex i; 13
  maxFailedIndexes i; 4 selector LabelSelector; 5 manualSelector b; 6 template PodTemplateSpec; 8
  ttlSecondsAfterFinished i; 9 completionMode s; 10 suspend b; 14 podReplacementPolicy s; 15
  managedBy s
PodFailurePolicy: 1 rules *PodFailurePolicyRule!
PodFailurePolicyRule: 1 action s; 2 onExitCodes PodFailurePolicyOnExitCodesRequirement; 3
  onPodConditions *PodFailurePolicyOnPodConditionsPattern
PodFailurePolicyOnExitCodesRequirement: 1 containerName s; 2 operator s; 3 values *i!
PodFailurePolicyOnPodConditionsPattern: 1 type s; 2 status s
SuccessPolicy: 1 rules *SuccessPolicyRule!
SuccessPolicyRule: 1 succeededIndexes s; 2 succeededCount i
JobStatus: 1 conditions *JobCondition; 2 startTime Time; 3 completionTime Time; 4 active i?; 5
  succeeded i?; 6 failed i?; 11 terminating i; 7 completedIndexes s?; 10 failedIndexes s; 8
  uncountedTerminatedPods UncountedTerminatedPods; 9 ready i
JobCondition: 1 type s; 2 status s; 3 lastProbeTime Time; 4 lastTransitionTime Time; 5 reason s?; 6
  message s?
UncountedTerminatedPods: 1 succeeded *s; 2 failed *s
"""
