package embedded

import "github.com/cockroachdb/pebble/v2"

// Queue is a queue in the store's folder.
type Queue struct{}

type backlog struct{}

func loadBacklogs(*pebble.DB) (map[string]*backlog, error) { return nil, nil }
