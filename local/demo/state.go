package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is what a folder remembers of its simulated Microsoft, so that a second start meets the same one: the same
// addresses, for blobs that wait in the queue name them, and the same beginning, for content ids follow from it.
type state struct {
	Source       string    `json:"source"` // "company", or the hash of the imported file
	Protocol     string    `json:"protocol"`
	Control      string    `json:"control"`
	Since        time.Time `json:"since"`
	ClientSecret string    `json:"clientSecret"` // of the application at the simulated Microsoft
	Consented    bool      `json:"consented"`
}

const stateFile = "simulated.json"

// readState reads a folder's state; a new folder has the zero state.
func readState(dir string) (state, error) {
	var s state
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// write replaces the state whole or not at all.
func (s state) write(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, stateFile)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
