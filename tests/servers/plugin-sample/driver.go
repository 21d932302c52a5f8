// Snapshots of folders. Each call does what plugin.proto says of it.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hindcast.dev/testbed/plugin-sample/pluginv1"
)

// How long a snapshot is copied before a disk can be made from it.
const copying = 50 * time.Millisecond

// What the details of a snapshot have: the zone, and the CSI driver whose volumes these are, which knows the snapshots by
// the same handles.
const (
	zoneDetail   = "zone"
	driverDetail = "driver"
)

// A name that follows from what it is for.
func named(kind string, of ...any) string {
	sum := sha256.Sum256(fmt.Append(nil, of...))
	return kind + "-" + hex.EncodeToString(sum[:10])
}

func name(tag *pluginv1.Tag) string {
	return named("snap", tag.GetCluster(), "/", tag.GetId(), "/", tag.GetIndex())
}

func (p *plugin) Takes(_ context.Context, request *pluginv1.TakesRequest) (*pluginv1.TakesResponse, error) {
	answer := &pluginv1.TakesResponse{}
	for _, volume := range request.GetVolumes() {
		reason := ""
		if strings.HasPrefix(volume.GetHandle(), "untaken-") {
			reason = "its handle says that it is not taken"
		}
		answer.Reasons = append(answer.Reasons, reason)
	}
	return answer, nil
}

func (p *plugin) Create(ctx context.Context, request *pluginv1.CreateRequest) (*pluginv1.CreateResponse, error) {
	answer := &pluginv1.CreateResponse{}
	for _, order := range request.GetOrders() {
		struck, err := p.strikes.ask("Create")
		if err != nil {
			return nil, err
		}
		taken, failed := p.create(ctx, order, struck)
		outcome := &pluginv1.CreateOutcome{}
		if failed != nil {
			outcome.Outcome = &pluginv1.CreateOutcome_Failure{Failure: failure(failed, struck)}
		} else {
			outcome.Outcome = &pluginv1.CreateOutcome_Taken{Taken: taken}
		}
		answer.Outcomes = append(answer.Outcomes, outcome)
		switch struck.Fault {
		case "wrong-tag":
			taken.Tag.Index++
		case "wrong-handle":
			taken.Handle = ""
		case "too-few":
			return &pluginv1.CreateResponse{}, nil
		}
	}
	return answer, nil
}

func (p *plugin) create(ctx context.Context, order *pluginv1.Order, struck strike) (*pluginv1.Taken, error) {
	if err := p.strikes.before(ctx, struck); err != nil {
		return nil, err
	}
	if p.stranger {
		return nil, status.Error(codes.Unauthenticated, "the storage system does not know these credentials")
	}
	p.store.Lock()
	defer p.store.Unlock()
	handle := name(order.GetTag())
	var made snapshot
	there, err := p.store.read("snapshots", handle, &made)
	if err != nil {
		return nil, err
	}
	if !there {
		var of volume
		found, err := p.store.read("volumes", order.GetVolume().GetHandle(), &of)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, status.Errorf(codes.NotFound, "there is no volume %q", order.GetVolume().GetHandle())
		}
		bears := order.GetTag()
		made = snapshot{
			Tag:    &tag{bears.GetCluster(), bears.GetPoint(), bears.GetId(), bears.GetIndex()},
			Volume: order.GetVolume().GetHandle(), Zone: of.Zone, Bytes: of.Bytes, Time: time.Now().UnixMicro(),
		}
		from, to := p.store.path("volumes", made.Volume), p.store.path("snapshots", handle)
		if err := p.store.copy(from, to); err != nil {
			return nil, err
		}
		p.strikes.halfway(struck)
		if err := p.store.write("snapshots", handle, made); err != nil {
			return nil, err
		}
	}
	p.strikes.after(struck)
	return p.taken(handle, made), nil
}

func (p *plugin) taken(handle string, made snapshot) *pluginv1.Taken {
	out := &pluginv1.Taken{Handle: handle, Size: made.Bytes, Time: proto.Int64(made.Time)}
	if made.Tag != nil {
		out.Tag = &pluginv1.Tag{
			Cluster: made.Tag.Cluster, Point: made.Tag.Point, Id: made.Tag.ID, Index: made.Tag.Index,
		}
	}
	out.Details = map[string]string{zoneDetail: made.Zone}
	if !p.nameless {
		out.Details[driverDetail] = driver
	}
	return out
}

func (p *plugin) Look(_ context.Context, request *pluginv1.LookRequest) (*pluginv1.LookResponse, error) {
	p.store.Lock()
	defer p.store.Unlock()
	handle := request.GetTaken().GetHandle()
	var made snapshot
	there, err := p.store.read("snapshots", handle, &made)
	if err != nil {
		return nil, err
	}
	standing := &pluginv1.Standing{}
	answer := &pluginv1.LookResponse{Standing: standing}
	if !there {
		standing.Standing = &pluginv1.Standing_Gone_{Gone: &pluginv1.Standing_Gone{}}
		return answer, nil
	}
	answer.Taken = p.taken(handle, made)
	if time.Since(time.UnixMicro(made.Time)) < copying {
		standing.Standing = &pluginv1.Standing_Cut_{Cut: &pluginv1.Standing_Cut{Percent: proto.Uint32(50)}}
	} else {
		standing.Standing = &pluginv1.Standing_Ready_{Ready: &pluginv1.Standing_Ready{}}
	}
	return answer, nil
}

func (p *plugin) List(ctx context.Context, request *pluginv1.ListRequest) (*pluginv1.ListResponse, error) {
	p.store.Lock()
	defer p.store.Unlock()
	names, err := p.store.names("snapshots")
	if err != nil {
		return nil, err
	}
	answer := &pluginv1.ListResponse{}
	for _, handle := range names {
		var made snapshot
		there, err := p.store.read("snapshots", handle, &made)
		if err != nil {
			return nil, err
		}
		bears := there && made.Tag != nil && made.Tag.Cluster == request.GetCluster()
		if !bears || (request.GetId() != "" && made.Tag.ID != request.GetId()) || handle <= request.GetPageToken() {
			continue
		}
		if time.Since(time.UnixMicro(made.Time)) < struckOf(ctx).late() {
			continue
		}
		if len(answer.Taken) == int(request.GetPageSize()) {
			answer.NextPageToken = answer.Taken[len(answer.Taken)-1].GetHandle()
			break
		}
		answer.Taken = append(answer.Taken, p.taken(handle, made))
	}
	return answer, nil
}

func (p *plugin) Delete(ctx context.Context, request *pluginv1.DeleteRequest) (*pluginv1.DeleteResponse, error) {
	p.store.Lock()
	defer p.store.Unlock()
	handle, bears := request.GetTaken().GetHandle(), request.GetTaken().GetTag()
	var made snapshot
	there, err := p.store.read("snapshots", handle, &made)
	if err != nil {
		return nil, err
	}
	if !there {
		return &pluginv1.DeleteResponse{}, nil
	}
	asked := tag{bears.GetCluster(), bears.GetPoint(), bears.GetId(), bears.GetIndex()}
	if made.Tag == nil || *made.Tag != asked {
		return nil, refused(ctx, "it bears another tag", "delete it by hand if nobody needs it")
	}
	return &pluginv1.DeleteResponse{}, p.store.remove("snapshots", handle)
}

func (p *plugin) MakeDisk(_ context.Context, request *pluginv1.MakeDiskRequest) (*pluginv1.MakeDiskResponse, error) {
	p.store.Lock()
	defer p.store.Unlock()
	var from snapshot
	there, err := p.store.read("snapshots", request.GetTaken().GetHandle(), &from)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, status.Errorf(codes.NotFound, "there is no snapshot %q", request.GetTaken().GetHandle())
	}
	handle := named("disk", request.GetToken())
	var made volume
	there, err = p.store.read("volumes", handle, &made)
	if err != nil {
		return nil, err
	}
	if !there {
		made = volume{
			Zone: from.Zone, Bytes: max(from.Bytes, request.GetCapacity()),
			Source: request.GetTaken().GetHandle(), Token: request.GetToken(),
		}
		if request.GetZone() != "" {
			made.Zone = request.GetZone()
		}
		if err := p.store.copy(p.store.path("snapshots", made.Source), p.store.path("volumes", handle)); err != nil {
			return nil, err
		}
		if err := p.store.write("volumes", handle, made); err != nil {
			return nil, err
		}
	}
	return &pluginv1.MakeDiskResponse{Disk: disk(handle, made)}, nil
}

func disk(handle string, made volume) *pluginv1.Disk {
	return &pluginv1.Disk{Handle: handle, Zone: made.Zone, Capacity: made.Bytes, Ready: true}
}

func (p *plugin) LookDisk(_ context.Context, request *pluginv1.LookDiskRequest) (*pluginv1.LookDiskResponse, error) {
	p.store.Lock()
	defer p.store.Unlock()
	var made volume
	there, err := p.store.read("volumes", request.GetHandle(), &made)
	if err != nil || !there {
		return &pluginv1.LookDiskResponse{}, err
	}
	return &pluginv1.LookDiskResponse{Disk: disk(request.GetHandle(), made)}, nil
}

func (p *plugin) RemoveDisk(ctx context.Context, request *pluginv1.RemoveDiskRequest) (*pluginv1.RemoveDiskResponse, error) {
	p.store.Lock()
	defer p.store.Unlock()
	var made volume
	there, err := p.store.read("volumes", request.GetHandle(), &made)
	if err != nil || !there {
		return &pluginv1.RemoveDiskResponse{}, err
	}
	if made.Token == "" {
		return nil, refused(ctx, "no restore made it", "delete it by hand if nobody needs it")
	}
	return &pluginv1.RemoveDiskResponse{}, p.store.remove("volumes", request.GetHandle())
}

// An error with its remedy.
func refused(ctx context.Context, message, hint string) error {
	// A remedy that does not arrive leaves the error as it is.
	_ = grpc.SetTrailer(ctx, metadata.Pairs("hindcast-hint-bin", hint))
	return status.Error(codes.FailedPrecondition, message)
}

// An error as one outcome of several.
func failure(err error, struck strike) *pluginv1.Failure {
	of := status.Convert(err)
	return &pluginv1.Failure{
		Code: uint32(of.Code()), Message: of.Message(), RetryAfterMs: uint64(struck.AfterMs),
	}
}
