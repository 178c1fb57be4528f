import { isAzure, type Platform } from '../../../platforms/index.js'
import type { DoctorReport } from '../report.js'
import type { WindowsGuest } from './guest.js'

/** What a system needs besides starting: agents, and on Azure a way in and a clock. */
export function checkWindowsSetup(guest: WindowsGuest, platform: Platform | undefined, report: DoctorReport): void {
  if (platform === undefined) return
  checkAgents(guest, platform, report)
  if (isAzure(platform)) checkAzure(guest, report)
}

function checkAgents({ control }: WindowsGuest, { id, windows }: Platform, report: DoctorReport): void {
  const agents = windows === undefined || windows === false ? [] : (windows.agents ?? [])
  if (agents.length === 0) return
  report.look('agents')
  const services = control.subkey('Services')
  if (agents.some((agent) => agent.services.some((name) => services?.subkey(name) !== undefined))) return
  const titles = agents.map(({ title }) => title).join(' or ')
  report.add({
    id: 'W-AGENT',
    severity: 'note',
    where: 'the services of the system',
    found: 'none of them',
    wanted: titles,
    why: `${id} talks to the guest through it: addresses, passwords, shutting down`,
    remedy: { kind: 'inside-guest', text: `Install ${titles}.` },
  })
}

/** Values that Microsoft's guide to preparing a disk asks for. */
const azureValues = [
  {
    key: 'Control\\TimeZoneInformation',
    name: 'RealTimeIsUniversal',
    wanted: 1n,
    severity: 'note',
    why: 'the clock of the machine is UTC: the time of the system is wrong until it is set',
  },
  {
    key: 'Control\\Terminal Server',
    name: 'fDenyTSConnections',
    wanted: 0n,
    severity: 'risk',
    why: 'Remote Desktop is off, and there is no other way in',
  },
] as const

function checkAzure({ control, system }: WindowsGuest, report: DoctorReport): void {
  report.look('values that Azure asks for')
  for (const { key, name, wanted, severity, why } of azureValues) {
    const found = control.at(key)?.value(name)?.number
    if (found === wanted) continue
    report.add({
      id: 'W-AZURE',
      severity,
      where: `${system.path}, ${key}`,
      found: `${name} is ${found === undefined ? 'not set' : found}`,
      wanted: String(wanted),
      why,
      remedy: {
        kind: 'inside-guest',
        text: `reg add "HKLM\\SYSTEM\\CurrentControlSet\\${key}" /v ${name} /t REG_DWORD /d ${wanted} /f`,
      },
    })
  }
}
