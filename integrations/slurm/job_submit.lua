-- Slurm's door: no job is taken in a gated partition without a permit, none outlasts it, none is requeued.
--
-- Copy beside slurm.conf, with `JobSubmitPlugins=lua`, and set what follows. A job names its permit, a file that lies in
-- PERMITS on the controller (`interlock permit show DIGEST --out PERMITS/NAME`), in its comment:
--
--     sbatch --comment interlock=NAME job.sh
--
-- Whatever goes wrong here refuses the job, errors of this script too: Slurm itself would take the job then. docs/launching.md says what this stops, and what it does not.

local INTERLOCK = "/usr/local/bin/interlock"
local PERMITS = "/etc/interlock/permits"
local TRUST = "/etc/interlock/trust.json"
local SEEN = "/var/lib/interlock/slurm-seen" -- the latest time seen, in a folder that SlurmUser may write to
local ACTION = "scale"
local DEPLOYMENT = nil -- a digest, where what runs is offered as a deployment; nil: the bare model
-- Minutes that a job must end before its permit does. At its limit Slurm is up to 30 seconds late to see it, sends SIGTERM,
-- and SIGKILL only KillWait (30 seconds) after that. Add OverTimeLimit, if slurm.conf or a partition sets it.
local MARGIN = 2
local GATED = nil -- the partitions that take a permit, such as {train = true, ["train-large"] = true}; nil: all

local function gated(partition)
   if GATED == nil or partition == nil or partition == "" then -- the default partition: its name is not told
      return true
   end
   for name in string.gmatch(partition, "[^,]+") do
      if GATED[name] then
         return true
      end
   end
   return false
end

-- The permit that a comment names; nil and why, where it names none or several. The prolog reads it in the same way.
local function named(comment)
   local _, times = string.gsub(comment or "", "interlock=", "")
   if times == 0 then
      return nil, "no permit is named; submit with --comment interlock=NAME"
   end
   if times > 1 then
      return nil, "the comment says interlock= more than once, expected one permit"
   end
   local name = string.match(comment, "interlock=([A-Za-z0-9_-][A-Za-z0-9._-]*)")
   if name == nil then
      return nil, "the permit's name in the comment is none, expected letters, digits, `.`, `_` and `-`"
   end
   return name
end

-- The minutes that a job may take under the permit; nil and why, where it opens nothing.
local function minutes_left(comment)
   local name, none = named(comment)
   if name == nil then
      return nil, none
   end
   local offered = DEPLOYMENT and " --deployment " .. DEPLOYMENT or ""
   local command = string.format(
      "%s slurm check --permits %s --trust %s --seen %s --action %s%s -- %s 2>&1",
      INTERLOCK, PERMITS, TRUST, SEEN, ACTION, offered, name
   )
   local pipe = io.popen(command)
   if pipe == nil then
      return nil, "interlock cannot be run"
   end
   local said = pipe:read("*a") or "" -- Lua 5.1 does not tell the exit code; a refusal never begins so
   pipe:close()
   local minutes = tonumber(string.match(said, "^(%d+) minutes, until ") or "")
   if minutes == nil then
      return nil, (string.gsub(string.gsub(said, "%s+$", ""), "^interlock: ", ""))
   end
   if minutes - MARGIN < 1 then
      return nil, string.format("the permit leaves %d minutes, and %d are kept for stopping", minutes, MARGIN)
   end
   return minutes - MARGIN
end

-- These give why a job is refused, or nil.

-- A job that comes in: `limit` is what it asks for, and it gets no more than its permit leaves.
local function taken(job, comment, limit)
   local left, why = minutes_left(comment)
   if left == nil then
      return why
   end
   if limit == slurm.NO_VAL or limit > left then
      job.time_limit = left
   end
   job.requeue = 0
   return nil
end

local function submitted(job)
   if not gated(job.partition) then
      return nil
   end
   return taken(job, job.comment, job.time_limit)
end

-- Under its permit a job may get more time while it waits, or while it runs and was not suspended.
local function longer(job, record)
   local left, why = minutes_left(record.comment)
   if left == nil then
      return why
   end
   local state, ends = record.job_state % 256, job.time_limit * 60
   if state == 1 then -- it runs
      ends = record.end_time + (job.time_limit - record.time_limit) * 60 - os.time()
   elseif state ~= 0 then
      return "a job that neither waits nor runs gets no more time"
   end
   if ends > left * 60 then
      return string.format("the permit leaves %d minutes", left)
   end
   return nil
end

-- A change must not make a job longer than its permit, put another permit in its place, or bring it back to the queue.
local function modified(job, record)
   if not gated(record.partition) then
      if job.partition == nil or not gated(job.partition) then
         return nil
      end
      local limit = job.time_limit == slurm.NO_VAL and record.time_limit or job.time_limit
      return taken(job, job.comment or record.comment, limit) -- it comes in here
   end
   if job.comment ~= nil and job.comment ~= record.comment then
      return "the permit of a job cannot be changed; submit it anew"
   end
   if job.requeue ~= nil and job.requeue ~= slurm.NO_VAL16 and job.requeue ~= 0 then
      return "a job under a permit is not requeued; submit it anew"
   end
   if job.end_time ~= nil and job.end_time ~= 0 then
      return "the end of a job under a permit is not set; change its time limit"
   end
   if job.time_limit ~= slurm.NO_VAL and job.time_limit > record.time_limit then
      return longer(job, record)
   end
   return nil
end

local function closed(tell, decide, ...)
   local fine, why = pcall(decide, ...)
   if fine and why == nil then
      return slurm.SUCCESS
   end
   pcall(tell, "interlock: hold: %s", fine and why or "this script failed: " .. tostring(why))
   return slurm.ERROR
end

function slurm_job_submit(job, partitions, uid)
   return closed(slurm.log_user, submitted, job)
end

function slurm_job_modify(job, record, partitions, uid)
   return closed(slurm.log_info, modified, job, record) -- Slurm shows who asked no more than that it failed
end

slurm.log_info("interlock: jobs take a permit")
return slurm.SUCCESS
