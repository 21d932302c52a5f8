// A plugin of Hindcast, as a sample of how one is written: snapshots of folders, and transforms of items.
//
// It serves what plugin/proto/hindcast/plugin/v1/plugin.proto says, on a unix socket: Plugin and gRPC's health here,
// VolumeDriver in driver.go over the folders of store.go, ItemTransform in transform.go. What goes wrong, a test says while
// it runs (strikes.go); a plugin in earnest has no such file.
//
// Invariants:
//   - A snapshot's tag decides its name, so asking twice makes one, in this process or the next.
//   - What is half made has no entry, and is made again.
//   - What does not bear the tag that a deletion names is not deleted.
//
// Not here: any storage system. Start reading at main.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"hindcast.dev/testbed/plugin-sample/pluginv1"
)

const version = "1.0.0"

// The driver whose volumes it takes.
const driver = "folders.sample.hindcast.dev"

type plugin struct {
	pluginv1.UnimplementedPluginServer
	pluginv1.UnimplementedVolumeDriverServer
	pluginv1.UnimplementedItemTransformServer

	name     string
	versions []uint32
	settle   time.Duration
	stranger bool
	nameless bool
	seen     string
	store    *store
	strikes  *strikes
}

func main() {
	p := &plugin{strikes: &strikes{}}
	socket := flag.String("socket", "", "the unix socket it serves on")
	folder := flag.String("store", "", "the folder of its volumes and snapshots")
	flag.StringVar(&p.name, "name", "sample", "its name")
	versions := flag.String("versions", "1", "the versions of the protocol that it speaks")
	flag.DurationVar(&p.settle, "settle", 0, "how late it lists what it made, at the latest")
	flag.BoolVar(&p.stranger, "stranger", false, "its credentials are refused by the storage system")
	flag.BoolVar(&p.nameless, "nameless", false, "its snapshots name no CSI driver")
	waiting := flag.Bool("waiting", false, "it says that it cannot work for now")
	flag.StringVar(&p.seen, "seen", "", "the file to which the items that it is given are written")
	flag.StringVar(&p.strikes.url, "strikes", "", "where what goes wrong is asked for, over HTTP")
	flag.Parse()

	for _, version := range strings.Split(*versions, ",") {
		number, err := strconv.ParseUint(version, 10, 32)
		if err != nil {
			log.Fatalf("-versions %s: %v", *versions, err)
		}
		p.versions = append(p.versions, uint32(number))
	}
	p.store = openStore(*folder)
	status := grpc_health_v1.HealthCheckResponse_SERVING
	if *waiting {
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	healths := health.NewServer()
	healths.SetServingStatus("", status)
	server := grpc.NewServer(grpc.UnaryInterceptor(p.intercept), grpc.MaxRecvMsgSize(32<<20))
	pluginv1.RegisterPluginServer(server, p)
	pluginv1.RegisterVolumeDriverServer(server, p)
	pluginv1.RegisterItemTransformServer(server, p)
	grpc_health_v1.RegisterHealthServer(server, healths)
	log.Fatal(server.Serve(p.strikes.track(listen(*socket))))
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

func (p *plugin) Handshake(_ context.Context, request *pluginv1.HandshakeRequest) (*pluginv1.HandshakeResponse, error) {
	answer := &pluginv1.HandshakeResponse{
		Versions:      p.versions,
		Name:          p.name,
		PluginVersion: version,
		VolumeDriver: &pluginv1.VolumeDriverCapability{
			Drivers:  []string{driver},
			Disks:    true,
			SettleMs: uint64(p.settle.Milliseconds()),
		},
		Transforms: transforms,
	}
	// The first of those offered is the one that Hindcast likes best.
	for _, offered := range request.GetVersions() {
		if slices.Contains(p.versions, offered) {
			answer.Version = offered
			break
		}
	}
	return answer, nil
}
