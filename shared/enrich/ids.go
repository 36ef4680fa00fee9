package enrich

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// People knows the people of a tenant. It is safe for concurrent use.
type People interface {
	// IDs returns the object ids of those who have the addresses, by address in lower case. Who is not known is
	// not in it.
	IDs(ctx context.Context, c connection.ID, addresses []string) (map[string]string, error)
}

const (
	idsLife = time.Minute
	maxIDs  = 50_000
)

// ids is a process's view of the object ids of people. It is safe for concurrent use.
type ids struct {
	people People // nil: nobody is known
	now    func() time.Time

	mu  sync.Mutex
	all map[refusalKey]knownID
}

type knownID struct {
	id    string // "" for an address that nobody has
	until time.Time
}

func (k *ids) open(p People, now func() time.Time) {
	k.people, k.now, k.all = p, now, make(map[refusalKey]knownID)
}

// of returns the object ids of addresses, by address in lower case.
func (k *ids) of(ctx context.Context, c connection.ID, addresses []string) (map[string]string, error) {
	found := make(map[string]string, len(addresses))
	if k.people == nil {
		return found, nil
	}
	now := k.now()
	var missing []string
	k.mu.Lock()
	for _, address := range addresses {
		address = strings.ToLower(address)
		if one, ok := k.all[refusalKey{c, address}]; ok && now.Before(one.until) {
			found[address] = one.id
		} else if strings.Contains(address, "@") {
			missing = append(missing, address)
		}
	}
	k.mu.Unlock()
	if len(missing) == 0 {
		return found, nil
	}
	read, err := k.people.IDs(ctx, c, missing)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all)+len(missing) > maxIDs {
		clear(k.all)
	}
	for _, address := range missing {
		found[address] = read[address]
		k.all[refusalKey{c, address}] = knownID{read[address], now.Add(idsLife)}
	}
	return found, nil
}
