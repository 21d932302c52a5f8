// The store: a folder for each volume and each snapshot, and one file that says what they are.
//
// The file is replaced whole, so that a killed driver leaves the old one or the new one. A folder without an entry is
// what a killed copy left; it is removed at the start.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

type volume struct {
	ID     string
	Name   string
	Bytes  int64
	Zone   string
	Source source
}

// Where a volume's content came from: a snapshot, another volume, or nowhere.
type source struct {
	Snapshot string `json:",omitempty"`
	Volume   string `json:",omitempty"`
}

type snapshot struct {
	ID      string
	Name    string
	Volume  string
	Bytes   int64
	Created time.Time
	// The group it was made with.
	Group string `json:",omitempty"`
}

type group struct {
	ID        string
	Name      string
	Snapshots []string
	Created   time.Time
}

type entries struct {
	Volumes   map[string]volume
	Snapshots map[string]snapshot
	Groups    map[string]group
}

type store struct {
	folder string
	mutex  sync.Mutex
	entries
	// Names that a call works on; another call for the same has to come again.
	busy map[string]bool
}

func openStore(folder string) (*store, error) {
	s := &store{folder: folder, busy: map[string]bool{}}
	s.entries = entries{map[string]volume{}, map[string]snapshot{}, map[string]group{}}
	kept, err := os.ReadFile(s.file())
	if err == nil {
		err = json.Unmarshal(kept, &s.entries)
	} else if os.IsNotExist(err) {
		err = os.MkdirAll(filepath.Join(folder, "volumes"), 0o755)
	}
	if err != nil {
		return nil, err
	}
	return s, s.sweep()
}

func (s *store) file() string {
	return filepath.Join(s.folder, "entries.json")
}

// The folder with the content of a volume or snapshot.
func (s *store) data(id string) string {
	return filepath.Join(s.folder, "volumes", id, "data")
}

func (s *store) sweep() error {
	found, err := os.ReadDir(filepath.Join(s.folder, "volumes"))
	for _, folder := range found {
		_, isVolume := s.Volumes[folder.Name()]
		_, isSnapshot := s.Snapshots[folder.Name()]
		if !isVolume && !isSnapshot {
			err = errors.Join(err, s.discard(folder.Name()))
		}
	}
	return err
}

func (s *store) discard(id string) error {
	return os.RemoveAll(filepath.Join(s.folder, "volumes", id))
}

// Changes the entries and keeps them; if they can't be kept, the driver says so and goes on with what it knows.
func (s *store) change(edit func(*entries)) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	edit(&s.entries)
	kept, err := json.Marshal(s.entries)
	if err != nil {
		return err
	}
	next := s.file() + ".next"
	if err := os.WriteFile(next, kept, 0o644); err != nil {
		return err
	}
	return os.Rename(next, s.file())
}

// Takes a name for one call, until it is given back.
func (s *store) reserve(name string) (free func(), taken bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.busy[name] {
		return nil, false
	}
	s.busy[name] = true
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.busy, name)
	}, true
}

func (s *store) volume(id string) (volume, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found, ok := s.Volumes[id]
	return found, ok
}

func (s *store) snapshot(id string) (snapshot, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found, ok := s.Snapshots[id]
	return found, ok
}

func (s *store) group(id string) (group, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found, ok := s.Groups[id]
	return found, ok
}

// The one that `is` says yes to.
func find[T any](s *store, all map[string]T, is func(T) bool) (T, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, one := range all {
		if is(one) {
			return one, true
		}
	}
	var none T
	return none, false
}

func newID(kind string) string {
	var random [8]byte
	_, _ = rand.Read(random[:])
	return kind + "-" + hex.EncodeToString(random[:])
}

// An empty volume's folder. Every user may write to it: whose it becomes, the Pod decides.
func (s *store) create(id string) error {
	if err := os.MkdirAll(s.data(id), 0o755); err != nil {
		return err
	}
	return os.Chmod(s.data(id), 0o777)
}

// Copies volumes or snapshots as they all are at one moment. Whoever can write to them is stopped meanwhile, as a real
// snapshot would take the moment from below.
func (s *store) copy(from, to []string) error {
	stopped, err := s.stop(from)
	defer resume(stopped)
	for i := range from {
		if err == nil {
			err = s.copyOne(from[i], to[i])
		}
	}
	if err != nil {
		for _, id := range to {
			err = errors.Join(err, s.discard(id))
		}
	}
	return err
}

func (s *store) copyOne(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(s.data(to)), 0o755); err != nil {
		return err
	}
	said, err := exec.Command("cp", "--archive", "--reflink=auto", "--sparse=auto", s.data(from), s.data(to)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copying %s to %s: %w: %s", from, to, err, said)
	}
	return nil
}

// Stops the processes that have one of these volumes mounted, until none runs that was not stopped: one may have
// forked before its turn came.
func (s *store) stop(ids []string) (stopped []int, err error) {
	seen := map[int]bool{}
	for {
		fresh := false
		for _, pid := range s.users(ids) {
			if seen[pid] {
				continue
			}
			seen[pid], fresh = true, true
			if allStopped(pid) {
				continue
			}
			if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
				if errors.Is(err, unix.ESRCH) {
					continue
				}
				return stopped, err
			}
			stopped = append(stopped, pid)
			for deadline := time.Now().Add(10 * time.Second); !allStopped(pid); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					return stopped, fmt.Errorf("process %d, which writes to a volume, does not stop", pid)
				}
			}
		}
		if !fresh {
			return stopped, nil
		}
	}
}

func resume(stopped []int) {
	for _, pid := range stopped {
		_ = unix.Kill(pid, unix.SIGCONT)
	}
}

// The processes of containers with one of these volumes: a mount namespace other than ours and its mount.
func (s *store) users(ids []string) []int {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	processes, _ := filepath.Glob("/proc/[0-9]*")
	var users []int
	for _, process := range processes {
		pid := filepath.Base(process)
		if theirs, err := os.Readlink(process + "/ns/mnt"); err != nil || theirs == ours {
			continue
		}
		for _, mount := range mounts(pid) {
			for _, id := range ids {
				if strings.HasSuffix(mount.root, "/volumes/"+id+"/data") {
					if number, err := strconv.Atoi(pid); err == nil {
						users = append(users, number)
					}
				}
			}
		}
	}
	return users
}

// Whether each thread of a process is stopped, or gone.
func allStopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			continue
		}
		// The state follows the name, which is in brackets and may have any of them in it.
		if end := bytes.LastIndexByte(stat, ')'); end >= 0 && end+2 < len(stat) && !strings.ContainsRune("TtZX", rune(stat[end+2])) {
			return false
		}
	}
	return true
}

type mount struct {
	// The mounted folder within its file system, and where it is mounted.
	root, point string
}

func mounts(pid string) []mount {
	table, _ := os.ReadFile("/proc/" + pid + "/mountinfo")
	var mounts []mount
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			mounts = append(mounts, mount{root: fields[3], point: fields[4]})
		}
	}
	return mounts
}
