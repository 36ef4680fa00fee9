package dynamo

import (
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/mailtrail/mailtrail/shared/table"
)

// meter adds up the cost of calls, as DynamoDB reports it. Its zero value is ready.
type meter struct {
	vain table.Meter // of conditions that failed

	mu   sync.Mutex
	told table.Units
}

func (m *meter) total() table.Units {
	m.mu.Lock()
	defer m.mu.Unlock()
	vain := m.vain.Units()
	return table.Units{
		Read:   m.told.Read + vain.Read,
		Write:  m.told.Write + vain.Write,
		Reads:  m.told.Reads + vain.Reads,
		Writes: m.told.Writes + vain.Writes,
	}
}

func (m *meter) read(reads int, capacities ...types.ConsumedCapacity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told.Reads += int64(reads)
	for _, c := range capacities {
		m.told.Read += aws.ToFloat64(c.CapacityUnits)
	}
}

// write counts writes. A transaction that costs read units is one that DynamoDB recognized by its token as done.
func (m *meter) write(writes int, capacities ...types.ConsumedCapacity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told.Writes += int64(writes)
	for _, c := range capacities {
		if c.ReadCapacityUnits == nil && c.WriteCapacityUnits == nil {
			m.told.Write += aws.ToFloat64(c.CapacityUnits)
			continue
		}
		m.told.Read += aws.ToFloat64(c.ReadCapacityUnits)
		m.told.Write += aws.ToFloat64(c.WriteCapacityUnits)
	}
}

// told returns a capacity as a list, which is empty if there is none.
func told(c *types.ConsumedCapacity) []types.ConsumedCapacity {
	if c == nil {
		return nil
	}
	return []types.ConsumedCapacity{*c}
}
