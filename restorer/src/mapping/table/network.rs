//! References of what leads, guards and encrypts traffic: the Gateway API, controllers, meshes, network plugins.

use super::{Row, any, expression, host, identity, namespace, object, principal, row, rule, scoped_host, selector};

const GATEWAY_ROUTES: &[&str] = &[
    "gateway.networking.k8s.io/httproutes",
    "gateway.networking.k8s.io/grpcroutes",
    "gateway.networking.k8s.io/tlsroutes",
    "gateway.networking.k8s.io/tcproutes",
    "gateway.networking.k8s.io/udproutes",
];
const LISTENER_SETS: &[&str] = &["gateway.networking.k8s.io/listenersets", "gateway.networking.x-k8s.io/xlistenersets"];
const TRAEFIK_ROUTES: &[&str] = &[
    "traefik.io/ingressroutes",
    "traefik.io/ingressroutetcps",
    "traefik.io/ingressrouteudps",
    "traefik.containo.us/ingressroutes",
    "traefik.containo.us/ingressroutetcps",
    "traefik.containo.us/ingressrouteudps",
];
const CALICO: &[&str] = &[
    "projectcalico.org/networkpolicies",
    "projectcalico.org/globalnetworkpolicies",
    "crd.projectcalico.org/networkpolicies",
    "crd.projectcalico.org/globalnetworkpolicies",
];
const ADMIN_POLICIES: &[&str] = &[
    "policy.networking.k8s.io/adminnetworkpolicies",
    "policy.networking.k8s.io/baselineadminnetworkpolicies",
    "policy.networking.k8s.io/clusternetworkpolicies",
];

pub(super) const GATEWAY: &[Row] = &[
    row(
        "gateway-routes",
        GATEWAY_ROUTES,
        &[
            namespace("spec parentRefs [] namespace"),
            namespace("spec rules [] backendRefs [] namespace"),
            namespace("spec rules [] filters [] requestMirror backendRef namespace"),
            namespace("spec rules [] filters [] externalAuth backendRef namespace"),
            namespace("spec rules [] backendRefs [] filters [] requestMirror backendRef namespace"),
            host("spec hostnames []"),
            host("spec rules [] filters [] requestRedirect|urlRewrite hostname"),
        ],
    ),
    row(
        "gateways",
        &["gateway.networking.k8s.io/gateways"],
        &[
            namespace("spec listeners [] tls certificateRefs [] namespace"),
            namespace("spec listeners [] tls frontendValidation caCertificateRefs [] namespace"),
            selector("spec listeners [] allowedRoutes namespaces selector"),
            host("spec listeners [] hostname"),
            selector("spec allowedListeners namespaces selector"),
            namespace("spec tls backend clientCertificateRef namespace"),
            namespace("spec tls frontend default validation caCertificateRefs [] namespace"),
            namespace("spec tls frontend perPort [] tls validation caCertificateRefs [] namespace"),
            host("spec addresses [type=Hostname] value"),
        ],
    ),
    row(
        "listener-sets",
        LISTENER_SETS,
        &[
            namespace("spec parentRef namespace"),
            namespace("spec listeners [] tls certificateRefs [] namespace"),
            selector("spec listeners [] allowedRoutes namespaces selector"),
            host("spec listeners [] hostname"),
        ],
    ),
    row("reference-grants", &["gateway.networking.k8s.io/referencegrants"], &[namespace("spec from [] namespace")]),
    row("gateway-classes", &["gateway.networking.k8s.io/gatewayclasses"], &[namespace("spec parametersRef namespace")]),
    row(
        "backend-tls",
        &["gateway.networking.k8s.io/backendtlspolicies"],
        &[host("spec validation hostname"), host("spec validation subjectAltNames [] hostname")],
    ),
    row(
        "envoy-gateway",
        &["gateway.envoyproxy.io/*"],
        &[namespace("spec ** backendRefs [] namespace"), host("spec ** endpoints [] fqdn hostname")],
    ),
];

pub(super) const CONTROLLERS: &[Row] = &[
    row(
        "ingress-nginx",
        &["networking.k8s.io/ingresses"],
        &[
            object(
                "metadata annotations nginx.ingress.kubernetes.io/auth-secret|nginx.ingress.kubernetes.io/auth-tls-secret|nginx.ingress.kubernetes.io/proxy-ssl-secret",
            ),
            object(
                "metadata annotations nginx.ingress.kubernetes.io/auth-proxy-set-headers|nginx.ingress.kubernetes.io/custom-headers|nginx.ingress.kubernetes.io/fastcgi-params-configmap",
            ),
            host(
                "metadata annotations nginx.ingress.kubernetes.io/auth-url|nginx.ingress.kubernetes.io/auth-signin|nginx.ingress.kubernetes.io/server-alias|nginx.ingress.kubernetes.io/upstream-vhost",
            ),
        ],
    ),
    any(
        "external-dns",
        &[host(
            "metadata annotations external-dns.alpha.kubernetes.io/hostname|external-dns.alpha.kubernetes.io/internal-hostname|external-dns.alpha.kubernetes.io/target",
        )],
    ),
    row(
        "dns-endpoints",
        &["externaldns.k8s.io/dnsendpoints"],
        &[host("spec endpoints [] dnsName"), host("spec endpoints [recordType=CNAME] targets []")],
    ),
    row(
        "traefik-routes",
        TRAEFIK_ROUTES,
        &[
            rule("spec routes [] match"),
            namespace("spec routes [] services [] namespace"),
            namespace("spec routes [] middlewares [] namespace"),
            namespace("spec tls options|store namespace"),
            namespace("spec parentRefs [] namespace"),
            host("spec tls domains [] main"),
            host("spec tls domains [] sans []"),
        ],
    ),
    row(
        "traefik-services",
        &["traefik.io/traefikservices", "traefik.containo.us/traefikservices"],
        &[
            namespace("spec weighted services [] namespace"),
            namespace("spec mirroring namespace"),
            namespace("spec mirroring mirrors [] namespace"),
        ],
    ),
    row(
        "traefik-middlewares",
        &["traefik.io/middlewares", "traefik.containo.us/middlewares"],
        &[
            host("spec forwardAuth address"),
            namespace("spec chain middlewares [] namespace"),
            namespace("spec errors service namespace"),
        ],
    ),
    row(
        "contour-proxies",
        &["projectcontour.io/httpproxies"],
        &[
            namespace("spec includes [] namespace"),
            namespace("spec tcpproxy include namespace"),
            host("spec virtualhost fqdn"),
            object("spec virtualhost tls secretName"),
            namespace("spec virtualhost authorization extensionRef namespace"),
        ],
    ),
    row(
        "contour-delegations",
        &["projectcontour.io/tlscertificatedelegations"],
        &[namespace("spec delegations [] targetNamespaces []")],
    ),
    row("openshift-routes", &["route.openshift.io/routes"], &[host("spec host")]),
    row(
        "metallb-pools",
        &["metallb.io/ipaddresspools"],
        &[namespace("spec serviceAllocation namespaces []"), selector("spec serviceAllocation namespaceSelectors []")],
    ),
];

pub(super) const MESHES: &[Row] = &[
    any("istio-waypoint", &[namespace("metadata labels istio.io/use-waypoint-namespace")]),
    row(
        "istio-routes",
        &["networking.istio.io/virtualservices"],
        &[
            host("spec hosts []"),
            object("spec gateways []"),
            namespace("spec exportTo []"),
            host("spec http|tcp|tls [] route [] destination host"),
            host("spec http [] mirror host"),
            host("spec http [] mirrors [] destination host"),
            namespace("spec http [] delegate namespace"),
            host("spec http [] redirect|rewrite authority"),
            namespace("spec http|tcp|tls [] match [] sourceNamespace"),
            object("spec http|tcp|tls [] match [] gateways []"),
            host("spec tls [] match [] sniHosts []"),
        ],
    ),
    row(
        "istio-destinations",
        &["networking.istio.io/destinationrules"],
        &[
            host("spec host"),
            namespace("spec exportTo []"),
            host("spec ** tls sni"),
            principal("spec ** tls subjectAltNames []"),
        ],
    ),
    row("istio-gateways", &["networking.istio.io/gateways"], &[scoped_host("spec servers [] hosts []")]),
    row("istio-sidecars", &["networking.istio.io/sidecars"], &[scoped_host("spec egress [] hosts []")]),
    row(
        "istio-entries",
        &["networking.istio.io/serviceentries"],
        &[
            host("spec hosts []"),
            namespace("spec exportTo []"),
            host("spec endpoints [] address"),
            principal("spec subjectAltNames []"),
        ],
    ),
    row("istio-filters", &["networking.istio.io/envoyfilters"], &[host("spec configPatches [] match cluster service")]),
    row(
        "istio-authorization",
        &["security.istio.io/authorizationpolicies"],
        &[
            principal("spec rules [] from [] source principals|notPrincipals []"),
            namespace("spec rules [] from [] source namespaces|notNamespaces []"),
            object("spec rules [] from [] source serviceAccounts|notServiceAccounts []"),
            host("spec rules [] to [] operation hosts|notHosts []"),
            namespace("spec rules [] when [key=source.namespace] values|notValues []"),
            principal("spec rules [] when [key=source.principal] values|notValues []"),
            object("spec rules [] when [key=source.serviceAccount] values|notValues []"),
        ],
    ),
    row("istio-authentication", &["security.istio.io/requestauthentications"], &[host("spec jwtRules [] jwksUri")]),
    row(
        "linkerd-policies",
        &["policy.linkerd.io/authorizationpolicies", "policy.linkerd.io/meshtlsauthentications"],
        &[
            namespace("spec targetRef namespace"),
            namespace("spec requiredAuthenticationRefs [] namespace"),
            namespace("spec identityRefs [] namespace"),
            identity("spec identities []"),
        ],
    ),
    row(
        "linkerd-profiles",
        &["linkerd.io/serviceprofiles"],
        &[host("metadata name"), host("spec dstOverrides [] authority")],
    ),
];

pub(super) const POLICIES: &[Row] = &[
    row(
        "admin-policies",
        ADMIN_POLICIES,
        &[
            selector("spec subject namespaces"),
            selector("spec subject pods namespaceSelector"),
            selector("spec ingress [] from [] namespaces"),
            selector("spec ingress [] from [] pods namespaceSelector"),
            selector("spec egress [] to [] namespaces"),
            selector("spec egress [] to [] pods namespaceSelector"),
        ],
    ),
    row(
        "cilium-policies",
        &["cilium.io/ciliumnetworkpolicies", "cilium.io/ciliumclusterwidenetworkpolicies"],
        &[
            selector("spec endpointSelector"),
            selector("specs [] endpointSelector"),
            selector("spec ingress|ingressDeny [] fromEndpoints|fromRequires []"),
            selector("spec egress|egressDeny [] toEndpoints|toRequires []"),
            selector("specs [] ingress|ingressDeny [] fromEndpoints|fromRequires []"),
            selector("specs [] egress|egressDeny [] toEndpoints|toRequires []"),
            namespace("spec egress|egressDeny [] toServices [] k8sService|k8sServiceSelector namespace"),
            namespace("specs [] egress|egressDeny [] toServices [] k8sService|k8sServiceSelector namespace"),
        ],
    ),
    row(
        "cilium-redirects",
        &["cilium.io/ciliumlocalredirectpolicies"],
        &[namespace("spec redirectFrontend serviceMatcher namespace")],
    ),
    row(
        "calico-policies",
        CALICO,
        &[
            expression("spec namespaceSelector"),
            expression("spec ingress|egress [] source|destination namespaceSelector"),
            namespace("spec ingress|egress [] destination services namespace"),
        ],
    ),
];
