import type { DeviceUse } from '../types.js'
import { NoSnapshot, type SnapshotPlan, type SystemCommand } from './plan.js'

const powershell = (script: string): SystemCommand => [
  'powershell.exe',
  '-NoProfile',
  '-NonInteractive',
  '-Command',
  `$ErrorActionPreference = 'Stop'; ${script}`,
]

/** Within single quotes of PowerShell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** What the script that makes a shadow copy prints: its id, and its device. */
const made = /^(\{[0-9A-Fa-f-]{36}\}) (\\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\d+)$/

/**
 * The plan of a shadow copy of a mounted volume of Windows (Win32_ShadowCopy). Windows freezes the filesystem while
 * it is made; a copy that is `ClientAccessible` is made without the writers of programs. Never run on a Windows.
 */
export function vssPlan(uses: readonly DeviceUse[]): SnapshotPlan | NoSnapshot {
  const point = uses.flatMap((use) => (use.kind === 'mount' ? [use.point] : []))[0]
  if (point === undefined) return new NoSnapshot('it is no mounted volume of Windows')
  const volume = point.endsWith('\\') ? point : `${point}\\`
  const byId = (printed: string, script: (found: string) => string): SystemCommand | undefined => {
    const [, id] = made.exec(printed) ?? []
    if (id === undefined) return undefined
    return powershell(script(`Get-CimInstance Win32_ShadowCopy -Filter ${quoted(`ID='${id}'`)}`))
  }
  return {
    kind: 'vss',
    origin: `the volume ${volume}`,
    parts: [
      {
        name: `the shadow copy of ${volume}`,
        make: powershell(
          `$made = Invoke-CimMethod -ClassName Win32_ShadowCopy -MethodName Create -Arguments ` +
            `@{ Volume = ${quoted(volume)}; Context = 'ClientAccessible' }; ` +
            'if ($made.ReturnValue -ne 0) { throw "Win32_ShadowCopy.Create returned $($made.ReturnValue)" }; ' +
            '$copy = Get-CimInstance Win32_ShadowCopy | Where-Object ID -eq $made.ShadowID; ' +
            '"$($copy.ID) $($copy.DeviceObject)"',
        ),
        remove: (printed) => byId(printed, (found) => `${found} | Remove-CimInstance`),
        look: (printed) => byId(printed, (found) => `if (-not (${found})) { throw 'it is not there' }`),
        absent: /it is not there/,
      },
    ],
    holds: () => true,
    pathOf: ([printed = '']) => made.exec(printed)?.[2],
    leftovers: [],
  }
}
