package m365

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
)

// counted is a cache whose tokens are 1, 2, 3, ... of an hour.
func counted() (*tokens, *int) {
	asked := new(int)
	return newTokens(time.Now, func(context.Context, tokenKey) (token, error) {
		*asked++
		return token{value: strconv.Itoa(*asked), renew: time.Now().Add(time.Hour)}, nil
	}), asked
}

func TestTheCacheIsBounded(t *testing.T) {
	cache, asked := counted()
	const tenants = maxTokens + 100
	for i := range tenants {
		key := tokenKey{connection.Tenant{ID: connection.TenantID(fmt.Sprint(i))}, activity}
		if _, err := cache.get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if len(cache.slots) != maxTokens || *asked != tenants {
		t.Errorf("%d tokens are kept of %d, want %d", len(cache.slots), *asked, maxTokens)
	}
}

// Of many who were refused with the same token, only the first one drops it; the others find the new one.
func TestALateRefusalKeepsTheNewToken(t *testing.T) {
	cache, asked := counted()
	key := tokenKey{connection.Tenant{ID: "t"}, activity}
	old, err := cache.get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !cache.refused(key, old) {
			t.Fatal("told not to try again, although there is a newer token")
		}
		if now, err := cache.get(t.Context(), key); err != nil || now.value != "2" {
			t.Fatalf("token %q, %v", now.value, err)
		}
	}
	if *asked != 2 {
		t.Errorf("%d token requests, want 2", *asked)
	}
}
