package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// block is the unit of Pebble's log: a log may be cut after a block if only zeros follow.
const block = 32 << 10

// pack writes answers.json and the files of a store into a tar.gz.
func pack(name, store string, a *answers) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	packed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := tar.NewWriter(packed)
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := add(out, "answers.json", text); err != nil {
		return err
	}
	entries, err := os.ReadDir(store)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		b, err := os.ReadFile(filepath.Join(store, entry.Name()))
		if err != nil {
			return err
		}
		if strings.HasSuffix(entry.Name(), ".log") {
			b = cut(b)
		}
		if err := add(out, "store/"+entry.Name(), b); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), packed.Close())
}

// cut removes the space that a log has reserved but not used.
func cut(log []byte) []byte {
	used := len(bytes.TrimRight(log, "\x00"))
	return log[:min(len(log), (used+block-1)/block*block)]
}

func add(out *tar.Writer, name string, b []byte) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b))}); err != nil {
		return err
	}
	_, err := out.Write(b)
	return err
}
