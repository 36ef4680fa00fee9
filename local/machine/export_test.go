package machine

import "github.com/mailtrail/mailtrail/shared/embedded"

// Blobs is the queue of blobs, for tests that send blobs that no poller would send.
func (m *Machine) Blobs() *embedded.Queue { return m.blobs }
