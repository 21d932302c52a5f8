// The controller's side: volumes, snapshots and groups of snapshots.
package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	defaultBytes = 1 << 30
	mostBytes    = 1 << 40
)

func missing(what string) error {
	return status.Errorf(codes.InvalidArgument, "the request has no %s", what)
}

func internal(err error) error {
	return status.Error(codes.Internal, err.Error())
}

func busy(name string) error {
	return status.Errorf(codes.Aborted, "another call works on %s", name)
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: version}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	answer := &csi.GetPluginCapabilitiesResponse{}
	for _, service := range []csi.PluginCapability_Service_Type{
		csi.PluginCapability_Service_CONTROLLER_SERVICE,
		csi.PluginCapability_Service_GROUP_CONTROLLER_SERVICE,
		csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS,
	} {
		answer.Capabilities = append(answer.Capabilities, &csi.PluginCapability{
			Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: service}},
		})
	}
	return answer, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	answer := &csi.ControllerGetCapabilitiesResponse{}
	for _, rpc := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
	} {
		answer.Capabilities = append(answer.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: rpc}},
		})
	}
	return answer, nil
}

func (d *driver) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if r.GetName() == "" || len(r.GetVolumeCapabilities()) == 0 {
		return nil, missing("name and capabilities")
	}
	for _, capability := range r.GetVolumeCapabilities() {
		if capability.GetBlock() != nil {
			return nil, status.Error(codes.InvalidArgument, "block volumes are not supported")
		}
	}
	free, taken := d.store.reserve(r.GetName())
	if !taken {
		return nil, busy(r.GetName())
	}
	defer free()
	required, limit := r.GetCapacityRange().GetRequiredBytes(), r.GetCapacityRange().GetLimitBytes()
	from := source{
		Snapshot: r.GetVolumeContentSource().GetSnapshot().GetSnapshotId(),
		Volume:   r.GetVolumeContentSource().GetVolume().GetVolumeId(),
	}
	if old, found := find(d.store, d.store.Volumes, func(v volume) bool { return v.Name == r.GetName() }); found {
		if old.Bytes < required || limit > 0 && old.Bytes > limit || old.Source != from {
			return nil, status.Errorf(codes.AlreadyExists, "%s exists, and is another volume", r.GetName())
		}
		return d.created(old), nil
	}
	bytes := max(required, 1)
	if required == 0 {
		bytes = defaultBytes
		if limit > 0 {
			bytes = min(bytes, limit)
		}
	}
	if bytes > mostBytes || limit > 0 && bytes > limit {
		return nil, status.Errorf(codes.OutOfRange, "no volume can have %d bytes", bytes)
	}
	origin, least, err := d.origin(from)
	if err != nil {
		return nil, err
	}
	if bytes < least {
		return nil, status.Errorf(codes.OutOfRange, "%d bytes are fewer than the source's %d", bytes, least)
	}
	made := volume{ID: newID("vol"), Name: r.GetName(), Bytes: bytes, Zone: d.zone, Source: from}
	if origin == "" {
		err = d.store.create(made.ID)
	} else {
		err = d.store.copy([]string{origin}, []string{made.ID})
	}
	if err == nil {
		err = d.store.change(func(e *entries) { e.Volumes[made.ID] = made })
	}
	if err != nil {
		return nil, internal(err)
	}
	return d.created(made), nil
}

// The id that content comes from, and its size.
func (d *driver) origin(from source) (string, int64, error) {
	if from.Snapshot != "" {
		if found, ok := d.store.snapshot(from.Snapshot); ok {
			return found.ID, found.Bytes, nil
		}
		return "", 0, status.Errorf(codes.NotFound, "no snapshot %s", from.Snapshot)
	}
	if from.Volume != "" {
		if found, ok := d.store.volume(from.Volume); ok {
			return found.ID, found.Bytes, nil
		}
		return "", 0, status.Errorf(codes.NotFound, "no volume %s", from.Volume)
	}
	return "", 0, nil
}

func (d *driver) created(v volume) *csi.CreateVolumeResponse {
	return &csi.CreateVolumeResponse{Volume: d.described(v)}
}

func (d *driver) described(v volume) *csi.Volume {
	answer := &csi.Volume{
		VolumeId:           v.ID,
		CapacityBytes:      v.Bytes,
		AccessibleTopology: []*csi.Topology{d.topology()},
	}
	if v.Source.Snapshot != "" {
		answer.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: v.Source.Snapshot},
		}}
	}
	if v.Source.Volume != "" {
		answer.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
			Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.Source.Volume},
		}}
	}
	return answer
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if r.GetVolumeId() == "" {
		return nil, missing("volume id")
	}
	if err := d.store.change(func(e *entries) { delete(e.Volumes, r.GetVolumeId()) }); err != nil {
		return nil, internal(err)
	}
	if _, isSnapshot := d.store.snapshot(r.GetVolumeId()); !isSnapshot && isID(r.GetVolumeId()) {
		if err := d.store.discard(r.GetVolumeId()); err != nil {
			return nil, internal(err)
		}
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// Whether it has the form of our ids, so that it can't name a folder elsewhere.
func isID(id string) bool {
	return !slices.ContainsFunc([]rune(id), func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if r.GetVolumeId() == "" || len(r.GetVolumeCapabilities()) == 0 {
		return nil, missing("volume id and capabilities")
	}
	if _, found := d.store.volume(r.GetVolumeId()); !found {
		return nil, status.Errorf(codes.NotFound, "no volume %s", r.GetVolumeId())
	}
	for _, capability := range r.GetVolumeCapabilities() {
		if capability.GetBlock() != nil {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: "block volumes are not supported"}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext:      r.GetVolumeContext(),
		VolumeCapabilities: r.GetVolumeCapabilities(),
		Parameters:         r.GetParameters(),
	}}, nil
}

func (d *driver) ListVolumes(_ context.Context, r *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	ids, next, err := page(d.store, d.store.Volumes, r.GetStartingToken(), r.GetMaxEntries(), func(volume) bool { return true })
	if err != nil {
		return nil, err
	}
	answer := &csi.ListVolumesResponse{NextToken: next}
	for _, v := range ids {
		answer.Entries = append(answer.Entries, &csi.ListVolumesResponse_Entry{Volume: d.described(v)})
	}
	return answer, nil
}

// A page of what `is` says yes to, in the order of ids, and the token of the next one.
func page[T any](s *store, all map[string]T, token string, most int32, is func(T) bool) ([]T, string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var listed []T
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if is(all[id]) {
			listed = append(listed, all[id])
		}
	}
	begin := 0
	if token != "" {
		number, err := strconv.Atoi(token)
		if err != nil || number < 0 || number > len(listed) {
			return nil, "", status.Errorf(codes.Aborted, "no page begins at %q", token)
		}
		begin = number
	}
	listed = listed[begin:]
	if most > 0 && int(most) < len(listed) {
		return listed[:most], strconv.Itoa(begin + int(most)), nil
	}
	return listed, "", nil
}

func (d *driver) CreateSnapshot(_ context.Context, r *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if r.GetName() == "" || r.GetSourceVolumeId() == "" {
		return nil, missing("name and source volume id")
	}
	free, taken := d.store.reserve(r.GetName())
	if !taken {
		return nil, busy(r.GetName())
	}
	defer free()
	if old, found := find(d.store, d.store.Snapshots, func(s snapshot) bool { return s.Name == r.GetName() }); found {
		if old.Volume != r.GetSourceVolumeId() {
			return nil, status.Errorf(codes.AlreadyExists, "%s exists, and is of another volume", r.GetName())
		}
		return &csi.CreateSnapshotResponse{Snapshot: told(old)}, nil
	}
	made, err := d.take([]string{r.GetSourceVolumeId()}, []string{r.GetName()}, "")
	if err != nil {
		return nil, err
	}
	if err := d.store.change(func(e *entries) { e.Snapshots[made[0].ID] = made[0] }); err != nil {
		return nil, internal(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: told(made[0])}, nil
}

// Copies volumes as they are at one moment.
func (d *driver) take(volumes, names []string, group string) ([]snapshot, error) {
	var made []snapshot
	var copies []string
	for i, id := range volumes {
		from, found := d.store.volume(id)
		if !found {
			return nil, status.Errorf(codes.NotFound, "no volume %s", id)
		}
		one := snapshot{ID: newID("snap"), Name: names[i], Volume: id, Bytes: from.Bytes, Group: group}
		made, copies = append(made, one), append(copies, one.ID)
	}
	moment := time.Now()
	if err := d.store.copy(volumes, copies); err != nil {
		return nil, internal(err)
	}
	for i := range made {
		made[i].Created = moment
	}
	return made, nil
}

func told(s snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:      s.ID,
		SourceVolumeId:  s.Volume,
		SizeBytes:       s.Bytes,
		CreationTime:    timestamppb.New(s.Created),
		ReadyToUse:      true,
		GroupSnapshotId: s.Group,
	}
}

func (d *driver) DeleteSnapshot(_ context.Context, r *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if r.GetSnapshotId() == "" {
		return nil, missing("snapshot id")
	}
	found, ok := d.store.snapshot(r.GetSnapshotId())
	if !ok {
		return &csi.DeleteSnapshotResponse{}, nil
	}
	if found.Group != "" {
		return nil, status.Errorf(codes.InvalidArgument, "%s goes with its group %s", found.ID, found.Group)
	}
	return &csi.DeleteSnapshotResponse{}, d.forget([]string{found.ID}, "")
}

// Removes snapshots, and the group they are of.
func (d *driver) forget(ids []string, group string) error {
	err := d.store.change(func(e *entries) {
		for _, id := range ids {
			delete(e.Snapshots, id)
		}
		delete(e.Groups, group)
	})
	for _, id := range ids {
		if err == nil {
			err = d.store.discard(id)
		}
	}
	if err != nil {
		return internal(err)
	}
	return nil
}

func (d *driver) ListSnapshots(_ context.Context, r *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	found, next, err := page(d.store, d.store.Snapshots, r.GetStartingToken(), r.GetMaxEntries(), func(s snapshot) bool {
		return (r.GetSnapshotId() == "" || r.GetSnapshotId() == s.ID) &&
			(r.GetSourceVolumeId() == "" || r.GetSourceVolumeId() == s.Volume)
	})
	if err != nil {
		return nil, err
	}
	answer := &csi.ListSnapshotsResponse{NextToken: next}
	for _, s := range found {
		answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: told(s)})
	}
	return answer, nil
}

func (d *driver) GroupControllerGetCapabilities(context.Context, *csi.GroupControllerGetCapabilitiesRequest) (*csi.GroupControllerGetCapabilitiesResponse, error) {
	return &csi.GroupControllerGetCapabilitiesResponse{Capabilities: []*csi.GroupControllerServiceCapability{{
		Type: &csi.GroupControllerServiceCapability_Rpc{Rpc: &csi.GroupControllerServiceCapability_RPC{
			Type: csi.GroupControllerServiceCapability_RPC_CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT,
		}},
	}}}, nil
}

func (d *driver) CreateVolumeGroupSnapshot(_ context.Context, r *csi.CreateVolumeGroupSnapshotRequest) (*csi.CreateVolumeGroupSnapshotResponse, error) {
	if r.GetName() == "" || len(r.GetSourceVolumeIds()) == 0 {
		return nil, missing("name and source volume ids")
	}
	free, taken := d.store.reserve(r.GetName())
	if !taken {
		return nil, busy(r.GetName())
	}
	defer free()
	if old, found := find(d.store, d.store.Groups, func(g group) bool { return g.Name == r.GetName() }); found {
		answer := d.toldGroup(old)
		var volumes []string
		for _, one := range answer.GetSnapshots() {
			volumes = append(volumes, one.GetSourceVolumeId())
		}
		if !same(volumes, r.GetSourceVolumeIds()) {
			return nil, status.Errorf(codes.AlreadyExists, "%s exists, and is of other volumes", r.GetName())
		}
		return &csi.CreateVolumeGroupSnapshotResponse{GroupSnapshot: answer}, nil
	}
	made := group{ID: newID("group"), Name: r.GetName()}
	names := make([]string, len(r.GetSourceVolumeIds()))
	for i, id := range r.GetSourceVolumeIds() {
		names[i] = r.GetName() + "/" + id
	}
	snapshots, err := d.take(r.GetSourceVolumeIds(), names, made.ID)
	if err != nil {
		return nil, err
	}
	for _, one := range snapshots {
		made.Snapshots, made.Created = append(made.Snapshots, one.ID), one.Created
	}
	err = d.store.change(func(e *entries) {
		for _, one := range snapshots {
			e.Snapshots[one.ID] = one
		}
		e.Groups[made.ID] = made
	})
	if err != nil {
		return nil, internal(err)
	}
	return &csi.CreateVolumeGroupSnapshotResponse{GroupSnapshot: d.toldGroup(made)}, nil
}

func same(one, other []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(one)), slices.Sorted(slices.Values(other)))
}

func (d *driver) toldGroup(g group) *csi.VolumeGroupSnapshot {
	answer := &csi.VolumeGroupSnapshot{GroupSnapshotId: g.ID, CreationTime: timestamppb.New(g.Created), ReadyToUse: true}
	for _, id := range g.Snapshots {
		if one, found := d.store.snapshot(id); found {
			answer.Snapshots = append(answer.Snapshots, told(one))
		}
	}
	return answer
}

func (d *driver) DeleteVolumeGroupSnapshot(_ context.Context, r *csi.DeleteVolumeGroupSnapshotRequest) (*csi.DeleteVolumeGroupSnapshotResponse, error) {
	if r.GetGroupSnapshotId() == "" {
		return nil, missing("group snapshot id")
	}
	found, ok := d.store.group(r.GetGroupSnapshotId())
	if !ok {
		return &csi.DeleteVolumeGroupSnapshotResponse{}, nil
	}
	if !same(found.Snapshots, r.GetSnapshotIds()) {
		return nil, status.Errorf(codes.InvalidArgument, "%s has other snapshots", found.ID)
	}
	return &csi.DeleteVolumeGroupSnapshotResponse{}, d.forget(found.Snapshots, found.ID)
}

func (d *driver) GetVolumeGroupSnapshot(_ context.Context, r *csi.GetVolumeGroupSnapshotRequest) (*csi.GetVolumeGroupSnapshotResponse, error) {
	if r.GetGroupSnapshotId() == "" {
		return nil, missing("group snapshot id")
	}
	found, ok := d.store.group(r.GetGroupSnapshotId())
	if !ok {
		return nil, status.Errorf(codes.NotFound, "no group snapshot %s", r.GetGroupSnapshotId())
	}
	return &csi.GetVolumeGroupSnapshotResponse{GroupSnapshot: d.toldGroup(found)}, nil
}
