/** What is in a hive: by our reader, and by hivex. */
import type { HiveBytes } from '../../src/hive/bytes.js'
import { openHive, type Hive, type HiveKey } from '../../src/hive/index.js'
import { run } from './tools.js'

/** Bytes as the file of a hive. */
export function fileOf(bytes: Uint8Array): HiveBytes {
  return {
    size: bytes.length,
    read: (position, target) => {
      if (position < 0 || position + target.length > bytes.length) throw new RangeError(`${position} leaves the file`)
      target.set(bytes.subarray(position, position + target.length))
    },
  }
}

export function openBytes(bytes: Uint8Array, ...logs: Uint8Array[]): Hive {
  return openHive(fileOf(bytes), logs.map(fileOf), 'TEST')
}

/** Every key by its path, with its values: `name` → `type:hex`. */
export type HiveFacts = Record<string, Record<string, string>>

export function hiveFacts(hive: Hive): HiveFacts {
  const facts: HiveFacts = {}
  const walk = (key: HiveKey, path: string): void => {
    const values = [...key.values()].map(
      (value) => [value.name, `${value.type}:${Buffer.from(value.data()).toString('hex')}`] as const,
    )
    facts[path] = Object.fromEntries(values)
    for (const below of key.subkeys()) walk(below, `${path}\\${below.name}`)
  }
  walk(hive.root, '')
  return facts
}

/** The same by hivexregedit. */
export function hivexFacts(path: string): HiveFacts {
  const facts: HiveFacts = {}
  let values: Record<string, string> = {}
  for (const line of run('hivexregedit', '--export', path, '\\').replaceAll('\\\n  ', '').split('\n')) {
    const key = /^\[(.*)\]$/.exec(line)?.[1]
    if (key !== undefined) facts[key === '\\' ? '' : key] = values = {}
    const [, name = '', data = ''] = /^(@|"(?:[^"\\]|\\.)*")=(.*)$/.exec(line) ?? []
    if (name !== '') values[name === '@' ? '' : name.slice(1, -1).replace(/\\(.)/g, '$1')] = valueText(data)
  }
  return facts
}

function valueText(data: string): string {
  const [, word] = /^dword:([0-9a-f]{8})$/.exec(data) ?? []
  if (word !== undefined) return `4:${Buffer.from(word, 'hex').reverse().toString('hex')}`
  const [, type = '3', bytes = ''] = /^hex(?:\(([0-9a-f]+)\))?:(.*)$/.exec(data) ?? []
  return `${Number.parseInt(type, 16)}:${bytes.replaceAll(',', '')}`
}
