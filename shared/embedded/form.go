package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Form is the form of everything in a folder: keys, values, and what the rooms put into items and messages. It is
// raised by a change that older code must not meet, and the same change teaches Open, or the rooms, to read the forms
// before it.
//
//	1  Mailtrail 0.1.0, which did not store a form, and 0.2.0
const Form = 1

// ErrNewer means that a newer Mailtrail has written to the folder, in a form that this one does not know.
var ErrNewer = errors.New("the folder was written by a newer Mailtrail")

// checkForm refuses a newer form, and stores ours before anything of it is written. A crash behind it leaves a folder
// that says it is newer than what is in it, which newer code reads all the same.
func checkForm(db *pebble.DB) error {
	stored, err := readForm(db)
	switch {
	case err != nil:
		return err
	case stored > Form:
		return fmt.Errorf("%w: its form is %d, and this version reads forms up to %d; start the newer version again, "+
			"or use another folder", ErrNewer, stored, Form)
	case stored == Form:
		return nil
	}
	return db.Set([]byte{kindForm}, binary.AppendUvarint(nil, Form), pebble.Sync)
}

// readForm returns 0 where no form is stored: in a new folder, and in one of 0.1.0.
func readForm(db *pebble.DB) (uint64, error) {
	value, closer, err := db.Get([]byte{kindForm})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = closer.Close() }() // it has nothing to say that Get has not said
	form, n := binary.Uvarint(value)
	if n != len(value) || form == 0 {
		return 0, fmt.Errorf("%w: the form of the store", errValue)
	}
	return form, nil
}
