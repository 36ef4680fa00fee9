package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/embedded"
)

const (
	storeDir     = "store"
	summaryFile  = "run.json" // of a start, which the next start writes anew
	manifestFile = "backup.json"
	manifestForm = 1
)

// Backup is the manifest of a backup: backup.json, which is written last. Without it a backup is not whole.
type Backup struct {
	Form  int       `json:"form"`
	Made  time.Time `json:"made"`
	Files []File    `json:"files"` // all that belong to it
}

// File is one file of a backup.
type File struct {
	Name  string `json:"name"` // within the folder, with slashes
	Bytes int64  `json:"bytes"`
}

// Bytes is how much all files hold.
func (b Backup) Bytes() (n int64) {
	for _, f := range b.Files {
		n += f.Bytes
	}
	return n
}

// backup writes a backup to a folder that does not exist or is empty: {"folder": "/absolute/path"}.
func (o *Operator) backup(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Folder string `json:"folder"`
	}
	if err := access.ReadJSON(w, r, &asked); err != nil {
		return err
	}
	if !filepath.IsAbs(asked.Folder) {
		return access.Invalid("folder", "The folder must be an absolute path.")
	}
	if err := o.Agents.Trail.Act(r.Context(), "backup", nil, asked); err != nil {
		return err
	}
	made, err := o.write(r.Context(), asked.Folder)
	if err != nil {
		return fmt.Errorf("nothing was backed up: %w", err)
	}
	access.WriteJSON(w, http.StatusOK, made)
	return nil
}

var errNotEmpty = errors.New("the folder is not empty")

// write makes a backup. What it began it takes away again when it fails; a crash leaves a folder without manifest.
//
// The store is written first. The other files change at the first start and at a consent, and are replaced as a whole:
// what they say then, the store may not know yet, and a start makes up for it.
func (o *Operator) write(ctx context.Context, folder string) (made Backup, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Backup{}, err
	}
	if err := empty(folder); err != nil {
		return Backup{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sweep(folder))
		}
	}()
	if err := os.Chmod(folder, 0o700); err != nil {
		return Backup{}, err
	}
	if err := o.Store.Checkpoint(ctx, filepath.Join(folder, storeDir)); err != nil {
		return Backup{}, err
	}
	names, err := loose(o.Dir)
	if err != nil {
		return Backup{}, err
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(folder, name), filepath.Join(o.Dir, name)); err != nil {
			return Backup{}, err
		}
	}
	made = Backup{Form: manifestForm, Made: o.Now().UTC().Truncate(time.Second)}
	if made.Files, err = list(folder); err != nil {
		return Backup{}, err
	}
	b, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return Backup{}, err
	}
	return made, writeFile(filepath.Join(folder, manifestFile), append(b, '\n'))
}

func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w: %s", errNotEmpty, folder)
	}
	return nil
}

// sweep empties a folder that was empty before.
func sweep(folder string) error {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
	}
	return err
}

// loose are the files beside the store that the next start needs: the state of the simulation and the first API client.
// Folders are not among them: the log, the socket, and the spool, which a start writes anew.
func loose(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		name := e.Name()
		if e.Type().IsRegular() && name != summaryFile && name != manifestFile && !strings.HasSuffix(name, ".new") {
			names = append(names, name)
		}
	}
	return names, err
}

// list returns all files of a folder.
func list(folder string) (files []File, err error) {
	err = filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		within, err := filepath.Rel(folder, name)
		files = append(files, File{Name: filepath.ToSlash(within), Bytes: info.Size()})
		return err
	})
	return files, err
}

// Restore copies a backup to a data folder that does not exist or is empty. Until all is there, it is in a folder
// beside it, so that a crash leaves no data folder that is not whole.
func Restore(ctx context.Context, backup, dir string) (Backup, error) {
	made, err := readBackup(backup)
	if err != nil {
		return Backup{}, err
	}
	if err := vacant(dir); err != nil {
		return Backup{}, err
	}
	begun := filepath.Clean(dir) + ".restoring"
	if err := os.MkdirAll(filepath.Dir(begun), 0o700); err != nil {
		return Backup{}, err
	}
	if err := os.Mkdir(begun, 0o700); errors.Is(err, fs.ErrExist) {
		return Backup{}, fmt.Errorf("%s exists: another restore runs, or one was cut off; delete it and try again", begun)
	} else if err != nil {
		return Backup{}, err
	}
	if err := restore(ctx, made, backup, begun); err != nil {
		return Backup{}, errors.Join(err, os.RemoveAll(begun))
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Backup{}, errors.Join(err, os.RemoveAll(begun))
	}
	return made, os.Rename(begun, dir)
}

// readBackup reads a backup's manifest, and looks whether all files are there and as long as they were.
func readBackup(folder string) (Backup, error) {
	var b Backup
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("%s is no backup, or one that was cut off: it has no %s", folder, manifestFile)
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("%s is damaged: %w", filepath.Join(folder, manifestFile), err)
	}
	if b.Form != manifestForm {
		return b, fmt.Errorf("%s was made by another version of Mailtrail (form %d; this one reads form %d)",
			folder, b.Form, manifestForm)
	}
	stored := func(f File) bool { return strings.HasPrefix(f.Name, storeDir+"/") }
	if !slices.ContainsFunc(b.Files, stored) {
		return b, fmt.Errorf("the backup is not whole: it has no %s", storeDir)
	}
	for _, f := range b.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return b, fmt.Errorf("%s is damaged: it names a file %q", filepath.Join(folder, manifestFile), f.Name)
		}
		info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(f.Name)))
		if err != nil {
			return b, fmt.Errorf("the backup is not whole: %w", err)
		}
		if info.Size() != f.Bytes {
			return b, fmt.Errorf("the backup is not whole: %s has %d bytes, and had %d", f.Name, info.Size(), f.Bytes)
		}
	}
	return b, nil
}

// vacant is nil if a data folder may be restored to.
func vacant(dir string) error {
	err := empty(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errNotEmpty):
		return fmt.Errorf("folder %s holds data: move it away, or name another folder with --data", dir)
	}
	return err
}

func restore(ctx context.Context, made Backup, from, to string) error {
	for _, f := range made.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := filepath.FromSlash(f.Name)
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o700); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(to, name), filepath.Join(from, name)); err != nil {
			return err
		}
	}
	// It opens, and is of a form that this version reads.
	store, err := embedded.Open(filepath.Join(to, storeDir), embedded.Options{})
	if err != nil {
		return err
	}
	return store.Close()
}

// copyFile copies a file, durably. Nobody but the owner may read the copy: it may hold a secret.
func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

func writeFile(name string, text []byte) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}
