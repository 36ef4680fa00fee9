package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of table Blobs, the ledger. c is the connection, b the content id, a the arrival in milliseconds as 12 hex
// digits.
//
//	access                              partition       sort
//	what became of a blob               c|blob          b
//	open blobs, by arrival              c|open          a|b
//	lost blobs, by arrival              c|lost          a|b
//	how many, and what was in them      c|sums          poll, or 0 to f by a hash of b
//	how far listing has come; lease     c|poll          cursor
//	elements that were no record        c|unreadable    a|b|offset
//	checks of sends without attachments c|checks        the kind of client
const (
	cursorSort = "cursor"
	pollShard  = "poll"
	sumShards  = 16
	// maxIDSort is how many bytes of a content id are kept in a key. A longer one, which has never been seen, is
	// hashed.
	maxIDSort = 900
)

func (id ContentID) sort() string {
	if len(id) <= maxIDSort {
		return string(id)
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256-" + hex.EncodeToString(sum[:])
}

func blobKey(c connection.ID, id ContentID) table.Key {
	return table.Key{Partition: string(c) + "|blob", Sort: id.sort()}
}

func openKey(c connection.ID, arrival time.Time, id ContentID) table.Key {
	return table.Key{Partition: string(c) + "|open", Sort: arrivalSort(arrival) + "|" + id.sort()}
}

func lostKey(c connection.ID, arrival time.Time, id ContentID) table.Key {
	return table.Key{Partition: string(c) + "|lost", Sort: arrivalSort(arrival) + "|" + id.sort()}
}

func unreadableKey(b Blob, offset int64) table.Key {
	return table.Key{
		Partition: string(b.Connection) + "|unreadable",
		Sort:      fmt.Sprintf("%s|%s|%012x", arrivalSort(b.Arrival), b.ID.sort(), offset),
	}
}

func sumsKey(c connection.ID, shard string) table.Key {
	return table.Key{Partition: string(c) + "|sums", Sort: shard}
}

func checksPartition(c connection.ID) string { return string(c) + "|checks" }

func checksKey(c connection.ID, client string) table.Key {
	return table.Key{Partition: checksPartition(c), Sort: client}
}

func cursorKey(c connection.ID) table.Key {
	return table.Key{Partition: string(c) + "|poll", Sort: cursorSort}
}

// shard spreads the counting of a connection's ended blobs, so that workers that end different blobs seldom collide.
func (id ContentID) shard() string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return fmt.Sprintf("%x", h.Sum32()%sumShards)
}

func arrivalSort(t time.Time) string { return fmt.Sprintf("%012x", t.UnixMilli()) }
