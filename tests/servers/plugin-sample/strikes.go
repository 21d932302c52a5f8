// What goes wrong, asked of a test before each call:
//
//	GET /strike?call=Create  {"fault": "lost", "afterMs": 0, "lateMs": 0}
//
// Without a fault the call is answered as it should be. "throttled", "broken", "unknown", "forbidden" and "quota" are errors
// of the storage system, and nothing is done; "cut" cuts every connection instead, and "lost" does so when it is done. "crash"
// ends the process in the middle of the work, "hang" never answers. The rest are wrong answers, told where they are given.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"hindcast.dev/testbed/plugin-sample/pluginv1"
)

type strike struct {
	Fault string `json:"fault"`
	// When to ask again, said with "throttled".
	AfterMs int `json:"afterMs"`
	// How long after it was made a snapshot is listed.
	LateMs int `json:"lateMs"`
}

func (s strike) late() time.Duration {
	return time.Duration(s.LateMs) * time.Millisecond
}

type strikes struct {
	url   string
	mutex sync.Mutex
	open  []net.Conn
}

func (s *strikes) ask(call string) (strike, error) {
	var struck strike
	if s.url == "" {
		return struck, nil
	}
	answer, err := http.Get(s.url + "/strike?call=" + url.QueryEscape(call))
	if err != nil {
		return struck, err
	}
	defer answer.Body.Close()
	return struck, json.NewDecoder(answer.Body).Decode(&struck)
}

// What becomes of a call before anything is done.
func (s *strikes) before(ctx context.Context, struck strike) error {
	switch struck.Fault {
	case "throttled":
		if struck.AfterMs > 0 {
			_ = grpc.SetTrailer(ctx, metadata.Pairs("hindcast-retry-after-ms", fmt.Sprint(struck.AfterMs)))
			return status.Error(codes.ResourceExhausted, "fewer requests are wanted")
		}
		return status.Error(codes.Unavailable, "fewer requests are wanted")
	case "broken":
		return status.Error(codes.Unavailable, "the storage system failed")
	case "unknown":
		return status.Error(codes.Unauthenticated, "the storage system does not know these credentials")
	case "forbidden":
		return status.Error(codes.PermissionDenied, "the rights do not suffice")
	case "quota":
		return status.Error(codes.ResourceExhausted, "the quota is used up")
	case "cut":
		s.cut()
		return status.Error(codes.Unavailable, "cut")
	case "hang":
		select {}
	}
	return nil
}

// In the middle of the work.
func (s *strikes) halfway(struck strike) {
	if struck.Fault == "crash" {
		os.Exit(3)
	}
}

// When the work is done.
func (s *strikes) after(struck strike) {
	if struck.Fault == "lost" {
		s.cut()
	}
}

type struckKey struct{}

// What strikes the call of this context.
func struckOf(ctx context.Context) strike {
	struck, _ := ctx.Value(struckKey{}).(strike)
	return struck
}

// Every call passes here. Create asks for each of its orders by itself.
func (p *plugin) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, serve grpc.UnaryHandler) (any, error) {
	call := path.Base(info.FullMethod)
	if call == "Create" {
		return serve(ctx, request)
	}
	struck, err := p.strikes.ask(call)
	if err != nil {
		return nil, err
	}
	if err := p.strikes.before(ctx, struck); err != nil {
		return nil, err
	}
	if p.stranger && strings.HasPrefix(info.FullMethod, "/hindcast.plugin.v1.VolumeDriver/") {
		return nil, status.Error(codes.Unauthenticated, "the storage system does not know these credentials")
	}
	p.strikes.halfway(struck)
	answer, err := serve(context.WithValue(ctx, struckKey{}, struck), request)
	p.strikes.after(struck)
	if err == nil {
		spoil(answer, struck.Fault)
	}
	return answer, err
}

// Makes an answer a wrong one.
func spoil(answer any, fault string) {
	switch answer := answer.(type) {
	case *pluginv1.LookResponse:
		switch fault {
		case "wrong-tag":
			answer.Taken.Tag.Cluster = "another"
		case "wrong-handle":
			answer.Taken.Handle = "another"
		case "no-standing":
			answer.Standing = nil
		}
	case *pluginv1.ListResponse:
		switch fault {
		case "wrong-tag":
			answer.Taken[0].Tag.Cluster = "another"
		case "endless":
			answer.NextPageToken = " "
		}
	case *pluginv1.TakesResponse:
		if fault == "too-few" {
			answer.Reasons = nil
		}
	case *pluginv1.TransformResponse:
		if fault == "too-few" {
			answer.Outcomes = nil
		}
	}
}

// Remembers the connections that are accepted, to cut them.
func (s *strikes) track(listener net.Listener) net.Listener {
	return tracked{Listener: listener, strikes: s}
}

type tracked struct {
	net.Listener
	strikes *strikes
}

func (t tracked) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err == nil {
		t.strikes.mutex.Lock()
		t.strikes.open = append(t.strikes.open, conn)
		t.strikes.mutex.Unlock()
	}
	return conn, err
}

func (s *strikes) cut() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, conn := range s.open {
		_ = conn.Close()
	}
	s.open = nil
}
