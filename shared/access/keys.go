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
// A token's partition is its hash, so that tokens spread over the whole table. Clients are few and share one
// partition. A client is limited if it has the attribute "connections"; a trail entry has it if it concerns some
// connections only.

const (
	clientPartition = "client"
	tokenSort       = "token"
	dayFormat       = "2006-01-02"
	// momentFormat always has nine digits of seconds, so that moments sort as text.
	momentFormat = "2006-01-02T15:04:05.000000000Z"
)

func clientKey(id string) table.Key { return table.Key{Partition: clientPartition, Sort: id} }

func tokenKey(hash string) table.Key { return table.Key{Partition: "token|" + hash, Sort: tokenSort} }

func trailPartition(at time.Time) string { return "trail|" + at.UTC().Format(dayFormat) }

func moment(at time.Time) string { return at.UTC().Format(momentFormat) }
