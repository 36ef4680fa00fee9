package access

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of this room, in the table Connections:
//
//	an API client            client                     <client id>
//	an access token          token|<SHA-256, hex>       token            expires after 15 minutes
//	the trail of one day     trail|<2006-01-02, UTC>    <time>|<random>  oldest first; never expires
//
// A token's partition is its hash, so that tokens spread over the whole table; all clients are few, and stand in one partition.

const (
	clientPartition = "client"
	tokenSort       = "token"
	dayFormat       = "2006-01-02"
	// momentFormat has always nine digits, so that moments sort as texts.
	momentFormat = "2006-01-02T15:04:05.000000000Z"
)

func clientKey(id string) table.Key { return table.Key{Partition: clientPartition, Sort: id} }

func tokenKey(hash string) table.Key { return table.Key{Partition: "token|" + hash, Sort: tokenSort} }

func trailPartition(at time.Time) string { return "trail|" + at.UTC().Format(dayFormat) }

func moment(at time.Time) string { return at.UTC().Format(momentFormat) }
