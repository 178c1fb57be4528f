import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseCombinations } from '../../../../src/operations/imaging/image-options.js'

test('what does not go together is refused, and the hint says what to leave out', () => {
  for (const [options, isCompressed, code, hint] of [
    [{ resume: true, since: 'a.qcow2' }, false, 'E_RESUME', /Leave out --resume/],
    [{ resume: true, snapshot: 'lvm' }, false, 'E_RESUME', /Leave out one of them/],
    [{ resume: true }, true, 'E_RESUME', /--compress/],
    [{ since: 'a.qcow2' }, true, 'E_STREAM', /leave out --since/],
  ] as const)
    assert.throws(() => refuseCombinations(options, isCompressed), { code, hint })
  refuseCombinations({ resume: true }, false)
  refuseCombinations({ since: 'a.qcow2', snapshot: 'auto' }, false)
})
