package embedded

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// OpenOn opens a store on a file system that a test can break.
var OpenOn = openOn

// SetForm makes a store say that it has another form; 0 is none.
func SetForm(s *Store, form uint64) error {
	if form == 0 {
		return s.db.Delete([]byte{kindForm}, pebble.Sync)
	}
	return s.db.Set([]byte{kindForm}, binary.AppendUvarint(nil, form), pebble.Sync)
}

// ReadForm is the form that a store has.
func ReadForm(s *Store) (uint64, error) { return readForm(s.db) }
