import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseCombinations } from '../../../../src/operations/imaging/image-options.js'

test('what does not go together is refused, and the hint says what to leave out', () => {
  const disk = { source: '/dev/sdb', isVirtual: false, isCompressed: false }
  const packed = { ...disk, isCompressed: true }
  const virtual = { source: 'vm.qcow2', isVirtual: true, isCompressed: false }
  const child = { since: 'a.qcow2', changed: 'one' }
  for (const [options, kinds, code, hint] of [
    [{ resume: true, since: 'a.qcow2' }, disk, 'E_RESUME', /Leave out --resume/],
    [{ resume: true, snapshot: 'lvm' }, disk, 'E_RESUME', /Leave out one of them/],
    [{ resume: true }, packed, 'E_RESUME', /--compress/],
    [{ since: 'a.qcow2' }, packed, 'E_STREAM', /leave out --since/],
    [{ resume: true }, virtual, 'E_RESUME', /Leave out --resume; vdisk convert/],
    [{ snapshot: 'auto' }, virtual, 'E_NOT_A_DEVICE', /Leave out --snapshot and --freeze/],
    [{ freeze: true }, virtual, 'E_NOT_A_DEVICE', /Leave out --snapshot and --freeze/],
    [child, disk, 'E_NO_BITMAP', /without --changed/],
    [{ changed: 'one' }, virtual, 'E_NO_BITMAP', /--since/],
    [{ ...child, usedOnly: {} }, virtual, 'E_NO_BITMAP', /leave out --used-only/],
    [{ ...child, parts: [1] }, virtual, 'E_NO_BITMAP', /and --parts/],
  ] as const)
    assert.throws(() => refuseCombinations(options, kinds), { code, hint })
  refuseCombinations({ resume: true }, disk)
  refuseCombinations({ since: 'a.qcow2', snapshot: 'auto' }, disk)
  refuseCombinations(child, virtual)
})
