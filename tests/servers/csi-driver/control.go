// What a test says to the driver while it runs, over HTTP on a unix socket, and what it is told.
//
//	POST   /faults  {"method": "CreateSnapshot", "kind": "fail", "times": 2, "code": 14, "message": "why"}
//	DELETE /faults  no faults any more; calls that hang go on
//	GET    /calls   [{"method", "name", "began", "ended", "code", "message"}, …] in the order in which they began
//
// The kinds: "fail" answers an error and does nothing, "lost" does it and then answers the error, "hang" does nothing
// until the faults are deleted or the caller has gone, "slow" waits `milliseconds` first, "not-ready" does it and says
// that it is not ready to use. A fault is for so many calls; none or 0 means every call until the faults are deleted.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type fault struct {
	Method       string     `json:"method"`
	Kind         string     `json:"kind"`
	Times        int        `json:"times"`
	Code         codes.Code `json:"code"`
	Message      string     `json:"message"`
	Milliseconds int        `json:"milliseconds"`
}

// Times are microseconds since 1970, of the clock that the tests read too.
type call struct {
	Method  string `json:"method"`
	Name    string `json:"name"`
	Began   int64  `json:"began"`
	Ended   int64  `json:"ended"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

type faults struct {
	mutex   sync.Mutex
	set     []fault
	calls   []*call
	cleared chan struct{}
}

func newFaults() *faults {
	return &faults{cleared: make(chan struct{})}
}

// The fault for a call of this method, which is one call fewer for it to meet.
func (f *faults) take(method string) (fault, <-chan struct{}) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for i := range f.set {
		if f.set[i].Method != method {
			continue
		}
		taken := f.set[i]
		if taken.Times == 1 {
			f.set = append(f.set[:i], f.set[i+1:]...)
		} else if taken.Times > 1 {
			f.set[i].Times--
		}
		return taken, f.cleared
	}
	return fault{}, f.cleared
}

// Every request passes here: it is written down, and meets its fault.
func (f *faults) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, serve grpc.UnaryHandler) (any, error) {
	method := path.Base(info.FullMethod)
	record := f.begin(method, named(request))
	answer, err := f.meet(ctx, method, func() (any, error) { return serve(ctx, request) })
	f.end(record, err)
	return answer, err
}

func (f *faults) meet(ctx context.Context, method string, serve func() (any, error)) (any, error) {
	met, cleared := f.take(method)
	failed := status.Error(met.Code, met.Message)
	switch met.Kind {
	case "fail":
		return nil, failed
	case "lost":
		if answer, err := serve(); err != nil {
			return answer, err
		}
		return nil, failed
	case "hang":
		select {
		case <-cleared:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	case "slow":
		select {
		case <-time.After(time.Duration(met.Milliseconds) * time.Millisecond):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	case "not-ready":
		answer, err := serve()
		unready(answer)
		return answer, err
	}
	return serve()
}

// Takes back that what is answered is ready to use.
func unready(answer any) {
	switch answer := answer.(type) {
	case *csi.CreateSnapshotResponse:
		answer.GetSnapshot().ReadyToUse = false
	case *csi.ListSnapshotsResponse:
		for _, entry := range answer.GetEntries() {
			entry.GetSnapshot().ReadyToUse = false
		}
	case *csi.CreateVolumeGroupSnapshotResponse:
		unreadyGroup(answer.GetGroupSnapshot())
	case *csi.GetVolumeGroupSnapshotResponse:
		unreadyGroup(answer.GetGroupSnapshot())
	}
}

func unreadyGroup(group *csi.VolumeGroupSnapshot) {
	if group == nil {
		return
	}
	group.ReadyToUse = false
	for _, snapshot := range group.GetSnapshots() {
		snapshot.ReadyToUse = false
	}
}

// What a request is about: the name it gives, or else the id it names.
func named(request any) string {
	type (
		named    interface{ GetName() string }
		volume   interface{ GetVolumeId() string }
		snapshot interface{ GetSnapshotId() string }
		group    interface{ GetGroupSnapshotId() string }
	)
	if it, ok := request.(named); ok {
		return it.GetName()
	}
	if it, ok := request.(group); ok && it.GetGroupSnapshotId() != "" {
		return it.GetGroupSnapshotId()
	}
	if it, ok := request.(snapshot); ok {
		return it.GetSnapshotId()
	}
	if it, ok := request.(volume); ok {
		return it.GetVolumeId()
	}
	return ""
}

func (f *faults) begin(method, name string) *call {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	record := &call{Method: method, Name: name, Began: time.Now().UnixMicro()}
	f.calls = append(f.calls, record)
	return record
}

func (f *faults) end(record *call, err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	record.Ended = time.Now().UnixMicro()
	record.Code = status.Code(err).String()
	record.Message = status.Convert(err).Message()
}

func (f *faults) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /faults", f.add)
	mux.HandleFunc("DELETE /faults", f.clear)
	mux.HandleFunc("GET /calls", f.list)
	return mux
}

func (f *faults) add(w http.ResponseWriter, r *http.Request) {
	var added fault
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&added); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch added.Kind {
	case "fail", "lost":
		if added.Code == codes.OK {
			http.Error(w, "this kind of fault needs a code that is an error", http.StatusBadRequest)
			return
		}
	case "hang", "slow", "not-ready":
	default:
		http.Error(w, "no such kind of fault: "+added.Kind, http.StatusBadRequest)
		return
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.set = append(f.set, added)
}

func (f *faults) clear(http.ResponseWriter, *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.set = nil
	close(f.cleared)
	f.cleared = make(chan struct{})
}

func (f *faults) list(w http.ResponseWriter, _ *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if f.calls == nil {
		f.calls = []*call{}
	}
	_ = json.NewEncoder(w).Encode(f.calls)
}
