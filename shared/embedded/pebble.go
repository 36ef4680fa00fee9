package embedded

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// defaultCache: Pebble counts its tables in memory against the cache too, and three of them leave 128 MB for blocks.
	defaultCache = 320 << 20
	memTable     = 64 << 20
)

// pebbleOptions suit many small items that are written once, read soon or never, and expire: big tables in memory,
// because postings come in random order; two compactions at once, because loads come in bursts; and filters, because
// Create asks for keys that are mostly not there. The last level has none: Pebble does not ask them there.
func pebbleOptions(fs vfs.FS, lock *pebble.Lock, log *slog.Logger, cacheBytes int64) *pebble.Options {
	if cacheBytes == 0 {
		cacheBytes = defaultCache
	}
	opts := &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		Logger:                      logger{log},
		CacheSize:                   cacheBytes,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               256 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                1000,
	}
	opts.TargetFileSizes[0] = 8 << 20
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = 16 << 10
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.Levels[len(opts.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	return opts
}

// logger passes Pebble's messages to slog at debug level: a failure reaches the caller as an error anyway.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any)  { l.debug(format, args) }
func (l logger) Errorf(format string, args ...any) { l.debug(format, args) }

// Fatalf ends the process, as Pebble demands: a write of its log failed, and it is unknown what is durable.
func (l logger) Fatalf(format string, args ...any) {
	panic("store: " + fmt.Sprintf(format, args...))
}

func (l logger) debug(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}
