// A CSI driver for the testbed: volumes are folders, snapshots are copies of them, and what goes wrong is said from
// outside.
//
// Words: the *store* is the folder with every volume and snapshot and the file that names them (store.go). A *fault*
// is what the next calls of a method do instead of, or beside, their work (control.go). A *call* is one request, with
// the times of its beginning and end.
//
// Invariants:
//   - It passes csi-sanity, with no test left out for want of a capability that it claims.
//   - A snapshot shows one moment of a volume, and a group snapshot one moment of all its volumes: whoever can write to
//     them is stopped while they are copied (store.go).
//   - What it answered before it was killed, it still knows after a start with the same store.
//   - Without faults every call is idempotent, as the specification asks.
//
// Not here: attaching, staging, block volumes, sizes (a volume's size is what was asked for; nothing enforces it).
// Start reading at main.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const version = "1.0.0"

// The driver serves every service of CSI; without a kubelet nobody asks its node service.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedGroupControllerServer
	csi.UnimplementedNodeServer

	name   string
	node   string
	zone   string
	socket string
	store  *store
	faults *faults
}

func main() {
	d := &driver{faults: newFaults()}
	flag.StringVar(&d.name, "name", "csi.testbed.hindcast.dev", "the driver's name")
	flag.StringVar(&d.node, "node", "testbed", "the node it runs on")
	flag.StringVar(&d.zone, "zone", "zone-a", "the zone of that node, where its volumes are")
	flag.StringVar(&d.socket, "socket", "", "the unix socket it serves CSI on")
	control := flag.String("control", "", "the unix socket on which faults are set and calls are read, over HTTP")
	kubelet := flag.String("register", "", "the kubelet's folder of registration sockets; none without a kubelet")
	folder := flag.String("store", "", "the folder of its volumes and snapshots")
	flag.Parse()

	var err error
	if d.store, err = openStore(*folder); err != nil {
		log.Fatalf("opening the store %s: %v", *folder, err)
	}
	go func() { log.Fatal(http.Serve(listen(*control), d.faults.handler())) }()
	if *kubelet != "" {
		server := grpc.NewServer()
		registration.RegisterRegistrationServer(server, registrar{driver: d})
		go func() { log.Fatal(server.Serve(listen(filepath.Join(*kubelet, d.name+"-reg.sock")))) }()
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(d.faults.intercept))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterGroupControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	log.Fatal(server.Serve(listen(d.socket)))
}

// A unix socket at this path. One that a killed process left there is replaced.
func listen(path string) net.Listener {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		log.Fatalf("replacing the socket %s: %v", path, err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatalf("listening on %s: %v", path, err)
	}
	return listener
}
