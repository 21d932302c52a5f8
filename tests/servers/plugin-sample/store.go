// The store: volumes and snapshots are folders, and beside each is an entry that says what it is.
//
// An entry is written last, and by a rename: what has none was not made. Disks are volumes that name the snapshot they were
// made from.
package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

type store struct {
	sync.Mutex
	folder string
}

// What a snapshot bears.
type tag struct {
	Cluster string `json:"cluster"`
	Point   string `json:"point"`
	ID      string `json:"id"`
	Index   uint32 `json:"index"`
}

type snapshot struct {
	// None of one that somebody else made.
	Tag    *tag   `json:"tag,omitempty"`
	Volume string `json:"volume"`
	Zone   string `json:"zone"`
	Bytes  uint64 `json:"bytes"`
	// Microseconds since 1970.
	Time int64 `json:"time"`
}

type volume struct {
	Zone  string `json:"zone"`
	Bytes uint64 `json:"bytes"`
	// Of a disk: the snapshot it was made from, and what it bears.
	Source string `json:"source,omitempty"`
	Token  string `json:"token,omitempty"`
}

func openStore(folder string) *store {
	for _, kind := range []string{"volumes", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(folder, kind), 0o755); err != nil {
			log.Fatalf("opening the store: %v", err)
		}
	}
	return &store{folder: folder}
}

// Whether a name is one of the store's own: a handle comes from outside.
func plain(name string) bool {
	return name != "" && name[0] != '.' && filepath.Base(name) == name
}

func (s *store) path(kind, name string) string {
	return filepath.Join(s.folder, kind, name)
}

// Reads an entry; whether there is one.
func (s *store) read(kind, name string, entry any) (bool, error) {
	if !plain(name) {
		return false, nil
	}
	text, err := os.ReadFile(s.path(kind, name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(text, entry)
}

func (s *store) write(kind, name string, entry any) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	path := s.path(kind, name)
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path+".json")
}

// Copies a folder, in place of what a killed copy left.
func (s *store) copy(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// Removes the entry first: what is half deleted is not there.
func (s *store) remove(kind, name string) error {
	if err := os.Remove(s.path(kind, name+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(s.path(kind, name))
}

// The names of all entries, in order.
func (s *store) names(kind string) ([]string, error) {
	files, err := os.ReadDir(filepath.Join(s.folder, kind))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		if name, found := strings.CutSuffix(file.Name(), ".json"); found {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
